"""A teacher of the service that answers when a test lets it."""

import threading

from app.scoring.decision import LiveItem, SecondScorer
from app.scoring.decoding import Score
from tests.waiting import HANGS


class HeldTeacher(SecondScorer):
    """Scores as the teacher of the item does, whose place it takes, but not before `go` is set."""

    def __init__(self, live: LiveItem) -> None:
        assert live.second is not None
        self.policy, self.title, self.threshold = live.second.policy, live.second.title, live.second.threshold
        self.begun, self.go = threading.Event(), threading.Event()
        self._other = live.second
        live.second = self

    def score(self, response: str) -> Score:
        self.begun.set()
        assert self.go.wait(HANGS)
        return self._other.score(response)

    def is_at_work(self) -> bool:
        return self.begun.wait(HANGS) and not self.go.is_set()
