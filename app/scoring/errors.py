"""Errors of scoring.

CodedError         the base of every error that scorelet raises on purpose
ScoringError(CodedError)
├── BadText        a response that no model or database can accept
├── BadMark        a human mark that is not on the item's scale
├── BadRows        a file, or rows of a file, that cannot be read: each fault with file, line and reason
├── BadBundle      a bundle that failed a check
├── UnknownItem    no bundle for this item
├── ItemNotReady   a bundle that was refused, or none that is active
└── NotJudged      a student that failed on this response for an unforeseen reason
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

ID = re.compile(r"[\w.-]{1,128}", re.ASCII)
MAX_FAULTS_SHOWN = 20  # faults named in a message; others are counted


class CodedError(Exception):
    """An error with a stable `code` and values in `fields`.  The sentence is for people and may change.

    The default code is the name of the class: `unknown_item` for UnknownItem.
    """

    def __init__(self, sentence: str = "", *, code: str = "", **fields: object) -> None:
        super().__init__(sentence)
        class_name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__)
        self.code = code or class_name.lower()
        self.fields = fields


class ScoringError(CodedError):
    """The base of every error that app.scoring raises on purpose."""


class BadText(ScoringError, ValueError):  # ValueError: pydantic turns it into a validation error
    """A response that cannot be scored or stored.  The message never contains the text."""


class BadMark(ScoringError):
    pass


@dataclass(frozen=True, slots=True)
class RowError:
    """A fault of one row, with the code, fields and sentence of a CodedError."""

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
        lines = [str(error) for error in errors[:MAX_FAULTS_SHOWN]]
        if len(errors) > 1:
            lines.insert(0, f"{len(errors)} faults:")
        not_shown = len(errors) - MAX_FAULTS_SHOWN
        if not_shown > 0:
            lines.append(f"… and {not_shown} more")
        super().__init__("\n".join(lines), count=len(errors))


class BadBundle(ScoringError):
    @classmethod
    def of(cls, place: str, error: CodedError) -> "BadBundle":
        """Return a BadBundle with a place before the sentence of another error, and with its code and fields."""
        return cls(f"{place}: {error}", code=error.code, **error.fields)


class UnknownItem(ScoringError):
    def __init__(self, item_id: str) -> None:
        # A text that cannot be an id is not shown: a misplaced column may hold a learner's words.
        shown = f"item {item_id!r}" if ID.fullmatch(item_id) else "an item of this id"
        super().__init__(f"no student for {shown}: GET /items and `scorelet items` list the items", item_id=item_id)


class ItemNotReady(ScoringError):
    def __init__(self, item_id: str, cause: CodedError) -> None:
        super().__init__(f"item {item_id!r} is not ready: {cause}", item_id=item_id, cause=cause.code)


class NotJudged(ScoringError):
    def __init__(self, item_id: str) -> None:
        super().__init__(f"the student of item {item_id!r} failed on this response", item_id=item_id)


class Panicked(Exception):
    """A panic of a library in Rust.  Its message is dropped, because it may quote a learner's text."""


@contextmanager
def no_panic() -> Iterator[None]:
    """Raise a panic of a library in Rust as Panicked.

    The class of a panic derives from BaseException only, so handlers of Exception miss it, and it cannot be imported.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise Panicked("a library failed unexpectedly") from None


@contextmanager
def refusing(sentence: str, *, code: str, **fields: object) -> Iterator[None]:
    """Raise any Exception of the block as BadBundle.  Libraries do not document the errors they raise for bad files."""
    try:
        with no_panic():
            yield
    except BadBundle:
        raise
    except Exception as error:  # The errors of onnxruntime and tokenizers derive from Exception directly.
        reason, *_ = str(error).split("\n", 1)
        raise BadBundle(f"{sentence}: {reason}", code=code, cause=type(error).__name__, **fields) from None


def first_fault(error: ValidationError) -> str:
    """Return the place and the message of the first fault of a file, without the value at that place."""
    fault, *_ = error.errors(include_input=False, include_url=False)
    where = ".".join(map(str, fault["loc"])) or "the file"
    return f"{where}: {fault['msg']}"
