"""Read header and body in the route itself.

FastAPI's resolution of dependencies costs more than a student's whole judgement (benchmarks/throughput.py), so the
routes that score do without.  The same models check their requests, the same errors refuse them, and
`documented_body` and `components` put them into the OpenAPI document.
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
SCHEMA_REFERENCE = "#/components/schemas/{model}"


class UnsupportedMediaType(ApiError):
    status = 415


class FastRoute(APIRoute):
    """A route whose endpoint takes the request and returns the response, with nothing done before or after."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint itself."""
        return self.endpoint


def require_json(request: Request) -> None:
    """Refuse a body that is not sent as JSON.  Raises UnsupportedMediaType.

    A page of another site may make a reader's browser send a form or plain text, but not JSON.
    """
    if not JSON_TYPE.fullmatch(request.headers.get("content-type", "")):
        raise UnsupportedMediaType("the body must be JSON: send the header Content-Type: application/json")


async def read_body(request: Request, model: type[Model]) -> Model:
    """Return the checked body.

    Raises UnsupportedMediaType, BadRequest for a body that cannot be read, and RequestValidationError for one that
    does not fit the model.
    """
    require_json(request)
    body = await request.body()
    try:
        content = json.loads(body)  # pydantic's parser would fail a whole batch for one lone surrogate
    except json.JSONDecodeError as error:
        fault = {"type": "json_invalid", "loc": (error.pos,), "msg": f"JSON decode error: {error.msg}", "input": None}
        raise validation_error("body", [fault]) from None
    except (ValueError, RecursionError):  # bytes that are no UTF-8, or numbers with thousands of digits
        raise BadRequest(
            "the body is not UTF-8, nested too deep, or has a number too long", code="unreadable_body"
        ) from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise validation_error("body", faults_of(error)) from None


def faults_of(error: ValidationError) -> Sequence[Any]:
    """Return pydantic's errors without the input."""
    return error.errors(include_input=False, include_url=False)


def validation_error(place: str, faults: Sequence[Any]) -> RequestValidationError:
    """Return the error that FastAPI raises for faults.  `place` is `body`, or `header.` and the header's name."""
    prefix = place.split(".")
    located = []
    for fault in faults:
        place_of_fault = (*prefix, *fault["loc"])
        located.append({**fault, "loc": place_of_fault})
    return RequestValidationError(located)


def documented_body(model: type[BaseModel], *headers: dict[str, Any]) -> dict[str, Any]:
    """Return a route's `openapi_extra`: its body, the headers it reads, and the need for a key."""
    parameters = [{"in": "header", "required": False} | header for header in headers]
    return {**body_of(model), "parameters": parameters, "security": [{"HTTPBearer": []}]}


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that reads only its body by itself."""
    schema = {"$ref": SCHEMA_REFERENCE.format(model=model.__name__)}
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def components(*models: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schemas of models, and of the models inside them, by name."""
    _, schema = models_json_schema([(model, "validation") for model in models], ref_template=SCHEMA_REFERENCE)
    return dict(schema["$defs"])
