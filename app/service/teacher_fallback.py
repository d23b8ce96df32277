"""Ask teachers about responses that their students are unsure of."""

from collections.abc import Sequence
from dataclasses import replace

from app.service.scored_response import JudgedResponse
from app.service.teacher_pool import TeacherPool


async def fall_back(pool: TeacherPool, judged: Sequence[JudgedResponse]) -> list[JudgedResponse]:
    """Return the responses, those of unsure students with the teacher's judgement where the item's policy allows it."""
    responses = list(judged)
    unsure = [
        (index, response.live.second, response.judgement.text)
        for index, response in enumerate(responses)
        if response.live.second is not None and response.live.falls_back(response.judgement)
    ]
    if not unsure:
        return responses
    scores = await pool.ask_all([(second, text) for _, second, text in unsure])
    for (index, _, _), score in zip(unsure, scores, strict=True):
        response = responses[index]
        judgement = response.live.judge_again(response.judgement, score)
        responses[index] = replace(response, judgement=judgement)
    return responses
