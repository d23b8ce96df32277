"""POST /score and POST /score/batch."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints, TypeAdapter, ValidationError

from app.api.auth import caller_of, count_responses
from app.api.fast_route import FastRoute, documented_body, faults_of, read_body, validation_error
from app.api.problems import BadRequest, documented, invalid, problem_of, reply
from app.api.schemas import BatchReply, BatchRequest, ScoreReply, ScoreRequest
from app.api.state import State, state_of
from app.service.prediction import Once, Refusal, Result, Submission, invalid_request
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
MAX_WAIT = 30  # seconds
WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?(\d+)"?\s*(?:$|[,;])', re.ASCII | re.IGNORECASE)
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
    count_responses(caller, state, 1)
    once = _once(request, state, lambda excluded: body.model_dump_json(exclude=excluded))
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
    count_responses(caller, state, len(body.responses))
    once = _once(request, state, lambda excluded: _canonical(body.responses, excluded))
    submissions = [_submission(row) for row in body.responses]
    results = await state["scorer"].score(submissions, caller.key_id, once)
    rows = ",".join(map(_as_json, results))
    return Response(f'{{"results":[{rows}]}}', media_type="application/json")


def _as_json(result: Result) -> str:
    if isinstance(result, Refusal):
        return problem_of(result).model_dump_json(exclude_none=True)
    return result.model_dump_json()


def _submission(row: object) -> Submission | Refusal:
    """Return a row of a batch as a submission, or its refusal if it is invalid."""
    try:
        return ScoreRequest.model_validate(row).submission()
    except ValidationError as error:
        faults = validation_error("body", faults_of(error)).errors()
        return invalid_request(invalid(faults))


def _canonical(responses: list[object], excluded: set[str]) -> str:
    """Return canonical JSON without the excluded fields, so that equal batches hash alike."""
    rows = [_without(row, excluded) for row in responses]
    try:
        return json.dumps(rows, sort_keys=True)
    except RecursionError:
        raise BadRequest("the body is nested too deep", code="nested_too_deep") from None


def _without(row: object, excluded: set[str]) -> object:
    if not isinstance(row, dict):
        return row
    return {name: value for name, value in row.items() if name not in excluded}


def _wait(prefer: str | None) -> int:
    """Return the seconds that a Prefer header asks to wait; 0 if it asks for nothing we know."""
    preference = WAIT.search(prefer or "")
    if preference is None:
        return 0
    seconds = int(preference[1][:9])
    return min(MAX_WAIT, seconds)


def _once(request: Request, state: State, canonical: Callable[[set[str]], str]) -> Once | None:
    """Return the Idempotency-Key with a hash of the body, or None without the header.

    `canonical` returns the body without some fields, equal for equal bodies.  The hash is keyed, or leaves learners
    out.  Otherwise a reader of the database could find a learner by hashing names.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    try:
        IDEMPOTENCY_KEY.validate_python(key)
    except ValidationError as error:
        raise validation_error("header.Idempotency-Key", faults_of(error)) from None
    learner_key = state["settings"].learner_key
    secret = learner_key.get_secret_value() if learner_key else ""
    excluded: set[str] = set() if learner_key else {"learner_id"}
    content = canonical(excluded)
    digest = hmac.new(secret.encode(), content.encode(), hashlib.sha256)
    return Once(key, digest.hexdigest())
