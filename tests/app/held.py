"""Hold back a teacher's answers until a test releases them."""

import threading

from app.scoring.decision import LiveItem, SecondScorer
from app.scoring.decoding import Score
from tests.waiting import HANGS


class HeldTeacher(SecondScorer):
    """Teacher that replaces an item's teacher and scores like it, once `go` is set."""

    def __init__(self, live: LiveItem) -> None:
        assert live.second is not None
        self.policy, self.title, self.threshold = live.second.policy, live.second.title, live.second.threshold
        self.begun, self.go = threading.Event(), threading.Event()
        self._replaced = live.second
        live.second = self

    def score(self, response: str) -> Score:
        self.begun.set()
        assert self.go.wait(HANGS)
        return self._replaced.score(response)

    def is_at_work(self) -> bool:
        return self.begun.wait(HANGS) and not self.go.is_set()
