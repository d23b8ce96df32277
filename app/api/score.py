"""POST /score and POST /score/batch."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints, TypeAdapter, ValidationError

from app.api.auth import caller_of, take
from app.api.fast_route import FastRoute, documented_body, read_body, refused
from app.api.problems import BadRequest, documented, invalid, problem_of, reply
from app.api.schemas import BatchReply, BatchRequest, ScoreReply, ScoreRequest
from app.api.state import State, state_of
from app.service.prediction import Once, Refusal, Submission, invalid_request
from app.storage.api_keys import Scope

router = APIRouter(tags=["score"], route_class=FastRoute)
IDEMPOTENCY_KEY = TypeAdapter(
    Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]
)
IDEMPOTENCY_HEADER = {
    "name": "Idempotency-Key",
    "description": "A key of your choice that makes retries safe. The same key and body get the stored reply, and "
    "nothing is scored twice. The same key with another body gets 409.",
    "schema": IDEMPOTENCY_KEY.json_schema(),
}
PREFER_HEADER = {
    "name": "Prefer",
    "description": "`wait=10` (RFC 7240) waits up to 10 seconds for generated feedback, and at most 30. Without this "
    "header the reply does not wait: poll `GET /predictions/{prediction_id}` for the feedback.",
    "schema": {"type": "string"},
}
MAX_WAIT = 30
ERRORS = documented(400, 401, 403, 409, 413, 415, 422, 429, 503)


@router.post(
    "/score",
    summary="Score a response",
    response_description="The prediction. A response that no model can score, such as a blank one, is `not_scorable`.",
    responses=ERRORS | documented(404),
    response_model=ScoreReply,
    openapi_extra=documented_body(ScoreRequest, IDEMPOTENCY_HEADER, PREFER_HEADER),
)
async def score(request: Request) -> Response:
    """Score one response to one item.

    The reply is sent after the score is committed to the log.
    """
    state = state_of(request)
    caller = await caller_of(request, state, Scope.SCORE)
    body = await read_body(request, ScoreRequest)
    take(caller, state, 1)
    once = _once(request, state, lambda left_out: body.model_dump_json(exclude=left_out))
    wait = _wait(request.headers.get("prefer"))
    [result] = await state["scorer"].score([body.submission()], caller.key_id, once, wait)
    if isinstance(result, Refusal):
        return reply(problem_of(result))
    headers = {"Preference-Applied": f"wait={wait}"} if wait else None
    return Response(result.model_dump_json(), media_type="application/json", headers=headers)


@router.post(
    "/score/batch",
    summary="Score a batch of responses",
    response_description="One prediction or problem per response, in the order sent.",
    responses=ERRORS,
    response_model=BatchReply,
    openapi_extra=documented_body(BatchRequest, IDEMPOTENCY_HEADER),
)
async def score_batch(request: Request) -> Response:
    """Score up to 1,000 responses to any items.

    An invalid row gets a problem of its own, and the other rows are scored.  The reply is sent after all scores are
    committed to the log.
    """
    state = state_of(request)
    caller = await caller_of(request, state, Scope.SCORE)
    body = await read_body(request, BatchRequest)
    take(caller, state, len(body.responses))
    once = _once(request, state, lambda left_out: _canonical(body.responses, left_out))
    submissions = [_submission(own) for own in body.responses]
    results = await state["scorer"].score(submissions, caller.key_id, once)
    given = ",".join(
        problem_of(result).model_dump_json(exclude_none=True)
        if isinstance(result, Refusal)
        else result.model_dump_json()
        for result in results
    )
    return Response(f'{{"results":[{given}]}}', media_type="application/json")


def _submission(body: object) -> Submission | Refusal:
    """The checked request, or what is wrong with this one."""
    try:
        return ScoreRequest.model_validate(body).submission()
    except ValidationError as error:
        found = refused("body", error.errors(include_input=False, include_url=False))
        return invalid_request(invalid(found.errors()))


def _canonical(responses: list[object], left_out: set[str]) -> str:
    """The same for equal ones."""
    kept = [
        {name: own for name, own in body.items() if name not in left_out} if isinstance(body, dict) else body
        for body in responses
    ]
    try:
        return json.dumps(kept, sort_keys=True)
    except RecursionError:
        raise BadRequest("the body is nested too deep", code="nested_too_deep") from None


def _wait(prefer: str | None) -> int:
    """Whole seconds; 0 for whatever else was preferred."""
    found = re.search(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d+)\"?\s*(?:$|[,;])", prefer or "", re.ASCII | re.IGNORECASE)
    return min(MAX_WAIT, int(found[1][:9])) if found else 0


def _once(request: Request, state: State, body: Callable[[set[str]], str]) -> Once | None:
    """What is to be done once only, if the caller wants that; `body`, less what it is told, is the same for equal ones.

    Nobody can tell from the hash who a learner was by trying names: it is keyed, or learners are left out of it.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    try:
        IDEMPOTENCY_KEY.validate_python(key)
    except ValidationError as error:
        raise refused("header.Idempotency-Key", error.errors(include_input=False, include_url=False)) from None
    secret = state["settings"].learner_key
    keyed = secret.get_secret_value() if secret else ""
    content = body(set() if secret else {"learner_id"})
    return Once(key, hmac.new(keyed.encode(), content.encode(), hashlib.sha256).hexdigest())
