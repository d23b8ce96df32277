"""Problems that keep the database from being used: a code, its fields, a sentence and advice."""

from collections.abc import Mapping
from dataclasses import dataclass, field

UPGRADE = "scorelet db upgrade"


@dataclass(frozen=True, slots=True)
class DatabaseProblem:
    """A problem and how to fix it, as a command or in words.  The sentence names no host, user, path or response."""

    code: str
    sentence: str
    advice: str
    fields: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.sentence}: {self.advice}"


class DatabaseUnusable(Exception):
    """A command cannot do its work because of a DatabaseProblem."""

    def __init__(self, problem: DatabaseProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem
