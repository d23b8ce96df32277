"""Turn every error into RFC 9457 problem details.  The table from named errors to statuses is here."""

import logging
import math
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from app.logs import coded
from app.scoring.errors import BadMark, CodedError, ItemNotReady, NotJudged, ScoringError, UnknownItem
from app.service.prediction import Invalid, Refusal, invalid_request, refusal_of
from app.service.scorer import IdempotencyConflict

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("scorelet")


class ApiError(CodedError):
    """The base of errors that the edge itself raises; the class name is the problem's title."""

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
        sentence = f"this key may have {a_minute} responses scored a minute: see Retry-After"
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


class Problem(BaseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(json_schema_extra={"examples": [{
        "type": "urn:scorelet:problem:unknown-item",
        "code": "unknown_item",
        "title": "UnknownItem",
        "status": 404,
        "detail": "no student for item 'asap-99'",
    }]})  # fmt: skip

    type: str = Field(description="Stable name of the kind of problem.")
    code: str = Field(description="Stable name of the problem itself: two of one kind may differ, `key_revoked` say.")
    title: str
    status: int
    detail: str
    errors: list[Invalid] | None = Field(default=None, description="For InvalidRequest: each thing that is wrong.")


def problem(
    title: str, status: int, detail: str, code: str | None = None, errors: list[Invalid] | None = None
) -> Problem:
    """Return a problem; without a code of its own it has its title's."""
    kind = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in title).lstrip("-")
    return Problem(
        type=f"urn:scorelet:problem:{kind}",
        code=code or kind.replace("-", "_"),
        title=title,
        status=status,
        detail=detail,
        errors=errors,
    )


def problem_of(refusal: Refusal) -> Problem:
    return problem(refusal.error, STATUS[refusal.error], refusal.detail, refusal.code, refusal.errors)


def invalid(errors: Sequence[Any]) -> list[Invalid]:
    """Return pydantic's errors without the input that they are about."""
    found = []
    for error in errors:
        loc, reason = error["loc"], error["msg"]
        own = error.get("ctx", {}).get("error")  # an error of ours that a validator raised
        code = own.code if isinstance(own, CodedError) else str(error["type"])
        if code == "extra_forbidden":
            loc = (*loc[:-1], "(an unknown field)")  # its name is the caller's text
        if code == "model_type":  # names a class of ours
            code, reason = "object_type", "Input should be an object"
        found.append(Invalid(where=".".join(map(str, loc)), code=code, reason=reason))
    return found


def reply(found: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        found.model_dump(exclude_none=True), status_code=found.status, headers=headers, media_type=MEDIA_TYPE
    )


def install(app: FastAPI) -> None:
    """Answer every error with its problem.  An unforeseen error is logged by type and place, never by content."""

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> JSONResponse:
        return reply(problem(type(error).__name__, error.status, str(error), error.code), error.headers)

    @app.exception_handler(ScoringError)
    async def scoring_error(_: Request, error: ScoringError) -> JSONResponse:
        return reply(problem_of(refusal_of(error)))

    @app.exception_handler(RequestValidationError)
    async def not_as_documented(_: Request, error: RequestValidationError) -> JSONResponse:
        return reply(problem_of(invalid_request(invalid(error.errors()))))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        title = {404: "NotFound", 405: "MethodNotAllowed", 413: "BodyTooLarge"}.get(error.status_code, "BadRequest")
        return reply(problem(title, error.status_code, str(error.detail)), dict(error.headers or {}))

    @app.exception_handler(SQLAlchemyError)
    async def database_error(_: Request, error: SQLAlchemyError) -> JSONResponse:
        kind = type(error).__name__
        log.error("the database failed: %s", kind, extra=coded("database_failed", error=kind))
        detail = (
            "the database cannot be used, so nothing is given; try again, with an Idempotency-Key to be logged once"
        )
        return reply(problem("DatabaseUnavailable", 503, detail), {"Retry-After": "5"})


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return a route's `responses` with a Problem for each status.  FastAPI would make plain JSON of a `model`."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {status: {"content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses}
