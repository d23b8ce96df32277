import os
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest
import torch

from app.scoring.decoding import Outputs
from training.compare import latency
from training.compare.latency import FULL, Effort, milliseconds

NOTHING: Outputs = np.zeros((0, 1))


class Clock:
    """A clock that advances only while a competitor scores."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, list[str]]] = []
        self.threads: set[int] = set()

    def perf_counter(self) -> float:
        return self.now

    def score(self, name: str, texts: Sequence[str], seconds: float) -> Outputs:
        self.calls.append((name, list(texts)))
        self.threads.add(torch.get_num_threads())
        self.now += seconds
        return NOTHING


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    ticking = Clock()
    monkeypatch.setattr(latency, "time", ticking)
    return ticking


def test_single_responses_and_batches_are_timed(clock: Clock) -> None:
    scores = {
        "quick": lambda texts: clock.score("quick", texts, 0.001 + 0.002 * len(texts)),
        "slow": lambda texts: clock.score("slow", texts, 0.5),
    }

    times = milliseconds(scores, ["a", "b", "c"])

    assert times["quick"] == pytest.approx((3, 2 + 1 / 32))
    assert times["slow"] == pytest.approx((500, 500 / 32))


def test_warm_up_and_slow_moments_do_not_count(clock: Clock) -> None:
    effort = Effort(rounds=2, run=3)

    def score(texts: Sequence[str]) -> Outputs:
        in_round = len(clock.calls) % (effort.warm_up + 3)
        cold = in_round < effort.warm_up
        slow = in_round == effort.warm_up + 1
        return clock.score("any", texts, 9 if cold or slow else 0.001)

    assert milliseconds({"any": score}, ["a"], effort)["any"][0] == pytest.approx(1)


def test_competitors_take_turns_on_the_same_texts(clock: Clock) -> None:
    texts = [str(number) for number in range(7)]
    scores = {
        "first": lambda scored: clock.score("first", scored, 0.1),
        "second": lambda scored: clock.score("second", scored, 0.1),
    }

    milliseconds(scores, texts)

    runs = [(name, [scored for _, scored in calls]) for name, calls in groupby(clock.calls, key=itemgetter(0))]
    names, given = zip(*runs, strict=True)
    assert names == ("first", "second") * (FULL.rounds + FULL.batches)
    assert given[::2] == given[1::2]
    alone = [text for run in given[: 2 * FULL.rounds : 2] for [text] in run]
    assert len(alone) == FULL.rounds * (FULL.warm_up + FULL.run)
    assert set(alone) == set(texts)
    assert [len(run[-1]) for run in given[2 * FULL.rounds :]] == [FULL.batch] * 2 * FULL.batches


def test_single_responses_are_timed_after_a_warm_service(clock: Clock) -> None:
    texts = [str(number) for number in range(500)]

    milliseconds({"any": lambda scored: clock.score("any", scored, 0.1)}, texts)

    before, *rest = [scored for _, scored in clock.calls]
    assert len(before) == FULL.served
    assert not set(before) & {text for scored in rest if len(scored) == 1 for text in scored}


@pytest.mark.parametrize("given", [None, "true"])
def test_timing_uses_one_thread_and_restores_the_rest(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    threads, tokenizers = [2], set()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.delenv(latency.PARALLEL_TOKENIZERS, raising=False)
    if given is not None:
        monkeypatch.setenv(latency.PARALLEL_TOKENIZERS, given)

    def score(texts: Sequence[str]) -> Outputs:
        tokenizers.add(os.environ.get(latency.PARALLEL_TOKENIZERS))
        return clock.score("any", texts, 0.1)

    milliseconds({"any": score}, ["a"])

    assert clock.threads == {1}
    assert tokenizers == {"false"}
    assert threads[-1] == 2
    assert os.environ.get(latency.PARALLEL_TOKENIZERS) == given


def test_timing_reads_the_wall_clock(tmp_path: Path) -> None:
    def score(_: Sequence[str]) -> Outputs:
        (tmp_path / "something").write_text("to do")
        return NOTHING

    alone, batched = milliseconds({"any": score}, ["a", "b"])["any"]

    assert 0 < batched < alone < 1000
