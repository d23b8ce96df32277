"""Tables of the fields of pydantic models."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "min_length": "at least"}


def described(field: FieldInfo) -> str:
    """Return a field's description, a sentence a table can hold."""
    return " ".join((field.description or "").split()).replace("|", "\\|")


def limits(field: FieldInfo) -> str:
    """Return the bounds of a field in words."""
    found = [(name, getattr(bound, name, None)) for bound in field.metadata for name in LIMITS]
    return ", ".join(
        f"{LIMITS[name]} {limit}{' characters' if name == 'min_length' else ''}"
        for name, limit in found
        if limit is not None
    )


def default(field: FieldInfo, empty: str = "none") -> str:
    """Return a field's default as TOML or an environment has it."""
    value: Any = field.default
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == "":
        return empty
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def type_of(annotation: Any) -> str:
    """Return a type without modules and constraints."""
    if get_origin(annotation) is Annotated:
        return type_of(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(type_of(argument) for argument in get_args(annotation))
    if arguments := get_args(annotation):
        return f"{annotation.__origin__.__name__} of {', '.join(map(type_of, arguments))}"
    return "null" if annotation is type(None) else getattr(annotation, "__name__", "…")


def nested(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    """Yield a model and the models that its fields name, each once, in order."""
    if model in seen:
        return
    seen.add(model)
    yield model
    for field in model.model_fields.values():
        for part in parts(field.annotation):
            yield from nested(part, seen)


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from parts(argument)
