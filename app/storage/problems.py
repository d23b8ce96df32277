"""One thing that keeps the database from being used: a code, its values, a sentence, and the way out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

UPGRADE = "scorelet db upgrade"


@dataclass(frozen=True, slots=True)
class DatabaseProblem:
    """`advice` says what to do, as a command or in words.  The sentence names no host, user, path or response."""

    code: str
    sentence: str
    advice: str
    fields: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.sentence}: {self.advice}"


class DatabaseUnusable(Exception):
    """Raised where a command cannot do its work because of a Trouble."""

    def __init__(self, problem: DatabaseProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem
