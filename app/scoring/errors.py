"""What can go wrong in scoring.

CodedError, the base of every error that we raise on purpose
ScoringError(CodedError)
├── BadText        a response that no model and no database can take
├── BadMark        a human mark that is none of the item's scores
├── BadRows        rows of a file, or a whole file, that cannot be read: each fault by file, line and reason
├── BadBundle      a bundle that failed a check
├── UnknownItem    no bundle for this item
├── ItemNotReady   there is a bundle, but it was refused or none is active
└── NotJudged      the student failed on this response, for a reason that nobody foresaw
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

ID = re.compile(r"[\w.-]{1,128}", re.ASCII)
MAX_FAULTS_SHOWN = 20  # rows named in a message; the rest are counted


class CodedError(Exception):
    """An error with a stable `code` and its values as `fields`.  Its sentence is for people and may be reworded.

    Without a code of its own it has its class's: UnknownItem is `unknown_item`.
    """

    def __init__(self, sentence: str = "", *, code: str = "", **fields: object) -> None:
        super().__init__(sentence)
        self.code = code or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()
        self.fields = fields


class ScoringError(CodedError):
    """The base of every error that the core raises on purpose."""


class BadText(ScoringError, ValueError):  # ValueError: pydantic turns it into a validation error
    """A response that cannot be scored or stored; the message never holds the text."""


class BadMark(ScoringError):
    pass


@dataclass(frozen=True, slots=True)
class RowError:
    """One thing wrong with one row.  `code` and `fields` are those of a CodedError, `reason` is its sentence."""

    file: Path
    line: int
    reason: str
    code: str = "bad_row"
    fields: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, file: Path, line: int, error: CodedError) -> "RowError":
        return cls(file, line, str(error), error.code, error.fields)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class BadRows(ScoringError):
    def __init__(self, errors: list[RowError]) -> None:
        self.errors = errors
        more = [f"… and {len(errors) - MAX_FAULTS_SHOWN} more"] if len(errors) > MAX_FAULTS_SHOWN else []
        head = [f"{len(errors)} faults:"] if len(errors) > 1 else []
        sentence = "\n".join([*head, *map(str, errors[:MAX_FAULTS_SHOWN]), *more])
        super().__init__(sentence, count=len(errors))


class BadBundle(ScoringError):
    @classmethod
    def of(cls, place: str, error: CodedError) -> "BadBundle":
        """Return the error with the place it is about before its sentence, code and fields kept."""
        return cls(f"{place}: {error}", code=error.code, **error.fields)


class UnknownItem(ScoringError):
    def __init__(self, item_id: str) -> None:
        # What could be an id is shown; what could be a learner's words, from a misplaced column say, is not.
        shown = f"item {item_id!r}" if ID.fullmatch(item_id) else "such an item"
        super().__init__(f"no student for {shown}", item_id=item_id)


class ItemNotReady(ScoringError):
    def __init__(self, item_id: str, cause: CodedError) -> None:
        super().__init__(f"item {item_id!r} is not ready: {cause}", item_id=item_id, cause=cause.code)


class NotJudged(ScoringError):
    def __init__(self, item_id: str) -> None:
        super().__init__(f"the student of item {item_id!r} failed on this response", item_id=item_id)


class Panicked(Exception):
    """A library in Rust panicked; the message is not kept, for it may quote what was read."""


@contextmanager
def no_panic() -> Iterator[None]:
    """A panic as an Exception: as it comes it derives from BaseException alone, which no handler takes.

    Its class cannot be imported.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise Panicked("the library that reads it panicked") from None


@contextmanager
def refusing(sentence: str, *, code: str, **fields: object) -> Iterator[None]:
    """Raise what a library makes of a bundle's file as BadBundle: libraries promise no certain error."""
    try:
        with no_panic():
            yield
    except BadBundle:
        raise
    except Exception as error:  # onnxruntime's and tokenizers' own derive from Exception directly
        raise BadBundle(
            f"{sentence}: {str(error).partition(chr(10))[0]}", code=code, cause=type(error).__name__, **fields
        ) from None


def first_fault(error: ValidationError) -> str:
    """Where a file is not as it should be, and how; never the value that stands there."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "the file"
    return f"{where}: {first['msg']}"
