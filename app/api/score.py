"""POST /score and POST /score/batch."""

import hashlib
import json
import re
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Response
from pydantic import ValidationError

from app.api.access import ScoreCaller
from app.api.bodies import BatchReply, BatchRequest, ScoreReply, ScoreRequest
from app.api.problems import documented, invalid, problem_of, reply
from app.api.state import StateDep
from app.prediction import Once, Refusal, Submission

router = APIRouter(tags=["score"])
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Same key and body: the stored reply again, nothing scored twice. Same key, other body: 409.",
    ),
]
Prefer = Annotated[
    str | None,
    Header(
        description="RFC 7240: `wait=10` waits up to so many seconds (30 at most) for generated feedback. Without it "
        "the reply does not wait, and the text is on GET /predictions/{id} when it is written.",
    ),
]
MAX_WAIT = 30
ERRORS = documented(400, 401, 403, 404, 409, 413, 422, 503)


@router.post("/score", responses=ERRORS, response_model=ScoreReply)
async def score(
    request: ScoreRequest,
    caller: ScoreCaller,
    state: StateDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """Score one response to one item.  The reply is sent when the score is committed to the log."""
    once = _once(idempotency_key, "score", request.model_dump_json()) if idempotency_key else None
    wait = _wait(prefer)
    [result] = await state["scorer"].score([request.submission()], caller.key_id, once, wait)
    if isinstance(result, Refusal):
        return reply(problem_of(result))
    # Written out here: FastAPI would check it against its own model once more.
    headers = {"Preference-Applied": f"wait={wait}"} if wait else None
    return Response(result.model_dump_json(), media_type="application/json", headers=headers)


@router.post("/score/batch", responses=ERRORS)
async def score_batch(
    request: BatchRequest, caller: ScoreCaller, state: StateDep, idempotency_key: IdempotencyKey = None
) -> BatchReply:
    """Score up to 1,000 responses, to any items.  One bad row does not sink the others: it gets its own problem."""
    once = _once(idempotency_key, "batch", _canonical(request.responses)) if idempotency_key else None
    submissions = [_submission(body) for body in request.responses]
    results = await state["scorer"].score(submissions, caller.key_id, once)
    return BatchReply(
        results=[
            problem_of(result) if isinstance(result, Refusal) else ScoreReply.model_validate(result)
            for result in results
        ]
    )


def _submission(body: object) -> Submission | Refusal:
    """The checked request, or what is wrong with this one."""
    try:
        return ScoreRequest.model_validate(body).submission()
    except ValidationError as error:
        reasons = invalid(error.errors(include_input=False, include_url=False))
        detail = "; ".join(f"{reason.where}: {reason.reason}" for reason in reasons)
        return Refusal(error="InvalidRequest", detail=detail)


def _canonical(body: object) -> str:
    """The same for equal bodies."""
    try:
        return json.dumps(body, sort_keys=True)
    except RecursionError:
        raise HTTPException(400, "the body is nested too deep") from None


def _wait(prefer: str | None) -> int:
    """Whole seconds; 0 for whatever else was preferred."""
    found = re.search(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d+)\"?\s*(?:$|[,;])", prefer or "", re.ASCII | re.IGNORECASE)
    return min(MAX_WAIT, int(found[1][:9])) if found else 0


def _once(idempotency_key: str, route: str, body: str) -> Once:
    return Once(idempotency_key, hashlib.sha256(f"{route}\n{body}".encode()).hexdigest())
