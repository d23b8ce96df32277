"""Turn every error into RFC 9457 problem details: one table from error classes to status codes."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from app.logs import coded
from app.scoring.errors import BadMark, CodedError, ItemNotReady, NotJudged, ScoringError, UnknownItem
from app.service.prediction import Invalid, Refusal, invalid_request, refusal_of
from app.service.scorer import IdempotencyConflict

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("scorelet")


class ApiError(CodedError):
    """Base of the errors that the API layer itself raises; the class name becomes the problem's type and title."""

    status = 400
    headers: dict[str, str] = {}  # noqa: RUF012  # never written to


class BadRequest(ApiError):
    status = 400


class Unauthorized(ApiError):
    status = 401
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012


class Forbidden(ApiError):
    status = 403


class RateLimited(ApiError):
    status = 429

    def __init__(self, a_minute: int, wait: float) -> None:
        sentence = f"the key may have {a_minute} responses scored a minute: wait for the seconds that Retry-After names"
        super().__init__(sentence, a_minute=a_minute, wait=wait)
        self.headers = {"Retry-After": str(math.ceil(wait))}


class UnknownPrediction(ApiError):
    status = 404


STATUS: dict[str, int] = {
    BadMark.__name__: 422,
    UnknownItem.__name__: 404,
    ItemNotReady.__name__: 503,
    NotJudged.__name__: 500,
    IdempotencyConflict.__name__: 409,
    "InvalidRequest": 422,
}
HTTP_ERRORS = {404: "NotFound", 405: "MethodNotAllowed", 413: "BodyTooLarge"}  # that Starlette itself raises
# The meaning of each status, for the OpenAPI document.
MEANINGS = {
    400: "The body cannot be read.",
    401: "No key was sent, or the key is unknown, revoked or expired.",
    403: "The key lacks the scope.",
    404: "There is no such item or prediction, or the key may not read it.",
    409: "The Idempotency-Key was sent before, with another body.",
    413: "The body is larger than the service accepts.",
    415: "The body did not come as `application/json`.",
    422: "The request does not fit this document; `errors` lists each fault. Or the mark is not on the item's scale.",
    429: "The key's rate is used up. Retry after the seconds in the header `Retry-After`.",
    503: "The database is unavailable, or the item's bundle was refused. Retry later.",
}


PROBLEM_EXAMPLE: dict[str, JsonValue] = {
    "type": "urn:scorelet:problem:unknown-item",
    "code": "unknown_item",
    "title": "Unknown item",
    "status": 404,
    "detail": "no student for item 'asap-99': GET /items and `scorelet items` list the items",
}


class Problem(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(json_schema_extra={"examples": [PROBLEM_EXAMPLE]})

    type: str = Field(description="Stable name of the kind of problem, as a URN.")
    code: str = Field(description="Stable name of the cause: one type may have several codes, such as `key_revoked`.")
    title: str = Field(description="The type in words.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="The problem in a sentence for people. Its wording may change, so read `code`.")
    errors: list[Invalid] | None = Field(default=None, description="For `invalid-request`: every fault of the request.")


def problem(
    error: str, status: int, detail: str, code: str | None = None, errors: list[Invalid] | None = None
) -> Problem:
    """Return the problem of an error, named by its class.  Without a code, the class name is the code."""
    words = [word.lower() for word in re.findall("[A-Z][a-z]*", error)]
    kind = "-".join(words)
    return Problem(
        type=f"urn:scorelet:problem:{kind}",
        code=code or "_".join(words),
        title=" ".join(words).capitalize(),
        status=status,
        detail=detail,
        errors=errors,
    )


def problem_of(refusal: Refusal) -> Problem:
    return problem(refusal.error, STATUS[refusal.error], refusal.detail, refusal.code, refusal.errors)


def invalid(errors: Sequence[Mapping[str, Any]]) -> list[Invalid]:
    """Return pydantic's errors without the input that they are about."""
    return [_without_input(error) for error in errors]


def _without_input(error: Mapping[str, Any]) -> Invalid:
    place, code, reason = error["loc"], str(error["type"]), error["msg"]
    raised = error.get("ctx", {}).get("error")
    if isinstance(raised, CodedError):  # by one of our validators
        code = raised.code
    if code == "extra_forbidden":
        place = (*place[:-1], "(an unknown field)")  # the field's name is the caller's text
    if code == "model_type":  # pydantic's sentence names a class of ours
        code, reason = "object_type", "Input should be an object"
    where = ".".join(map(str, place))
    return Invalid(where=where, code=code, reason=reason)


def reply(sent: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    content = sent.model_dump(exclude_none=True)
    return JSONResponse(content, status_code=sent.status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error with its problem."""

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> JSONResponse:
        name = type(error).__name__
        return reply(problem(name, error.status, str(error), error.code), error.headers)

    @app.exception_handler(ScoringError)
    async def scoring_error(_: Request, error: ScoringError) -> JSONResponse:
        refusal = refusal_of(error)
        return reply(problem_of(refusal))

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, error: RequestValidationError) -> JSONResponse:
        refusal = invalid_request(invalid(error.errors()))
        return reply(problem_of(refusal))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        name = HTTP_ERRORS.get(error.status_code, "BadRequest")
        headers = dict(error.headers or {})
        return reply(problem(name, error.status_code, str(error.detail)), headers)

    @app.exception_handler(SQLAlchemyError)
    async def database_error(_: Request, error: SQLAlchemyError) -> JSONResponse:
        kind = type(error).__name__
        log.error("the database failed: %s", kind, extra=coded("database_failed", error=kind))
        detail = "the database is unavailable: retry later, and send scores with an Idempotency-Key to log each once"
        return reply(problem("DatabaseUnavailable", 503, detail), {"Retry-After": "5"})


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return a route's `responses`, with a Problem for each status.

    FastAPI would document a `model` as plain JSON, so the schema is referred to by name.
    """
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    content = {MEDIA_TYPE: {"schema": schema}}
    return {status: {"description": MEANINGS[status], "content": content} for status in statuses}
