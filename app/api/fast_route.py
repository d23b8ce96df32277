"""Routes that read header and body by themselves.

FastAPI's own resolution of dependencies costs more than a student's whole judgement (benchmarks/throughput.py), so the
routes that score do without.  What they read is checked by the same models, refused in the same words, and stands in
the OpenAPI document through `documented_body` and `components`.
"""

import json
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema

from app.api.problems import ApiError, BadRequest

Model = TypeVar("Model", bound=BaseModel)
JSON_TYPE = re.compile(r"\s*application/(?:[\w.-]+\+)?json\s*(?:;.*)?", re.ASCII | re.IGNORECASE)
REFERENCE = "#/components/schemas/{model}"


class UnsupportedMediaType(ApiError):
    status = 415


class FastRoute(APIRoute):
    """Its endpoint takes the request and gives the response; nothing is done about it before or after."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


async def json_only(request: Request) -> None:
    """Raises UnsupportedMediaType.

    A page of another site may send a form or plain text from a reader's browser, but not JSON.
    """
    if not JSON_TYPE.fullmatch(request.headers.get("content-type", "")):
        raise UnsupportedMediaType("the body must come as application/json")


async def read_body(request: Request, model: type[Model]) -> Model:
    """Raises UnsupportedMediaType, BadRequest for what is no JSON, and RequestValidationError."""
    await json_only(request)
    try:
        content = json.loads(await request.body())  # not pydantic's parser: half a character would sink a whole batch
    except json.JSONDecodeError as error:
        where = {"type": "json_invalid", "loc": (error.pos,), "msg": f"JSON decode error: {error.msg}", "input": None}
        raise refused("body", [where]) from None
    except (ValueError, RecursionError):  # of bytes that are no UTF-8, of numbers with thousands of digits
        raise BadRequest(
            "the body is not UTF-8, nested too deep, or has a number too long", code="unreadable_body"
        ) from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise refused("body", error.errors(include_input=False, include_url=False)) from None


def refused(where: str, found: Sequence[Any]) -> RequestValidationError:
    """As FastAPI refuses what it reads itself: `where` is `body`, or `header` and its name."""
    return RequestValidationError([{**own, "loc": (*where.split("."), *own["loc"])} for own in found])


def documented_body(model: type[BaseModel], *headers: dict[str, Any]) -> dict[str, Any]:
    """For a route's `openapi_extra`: its body, the headers it reads, and that it wants a key."""
    return body_of(model) | {
        "parameters": [{"in": "header", "required": False} | header for header in headers],
        "security": [{"HTTPBearer": []}],
    }


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """For the `openapi_extra` of a route that reads nothing else by itself."""
    schema = {"$ref": REFERENCE.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def components(*models: type[BaseModel]) -> dict[str, Any]:
    """Their JSON schemas, and those of what they are made of, by name."""
    _, schema = models_json_schema([(model, "validation") for model in models], ref_template=REFERENCE)
    return dict(schema["$defs"])
