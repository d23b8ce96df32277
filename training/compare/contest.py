"""The contest: contestants, and the competitors that each makes, one for an item."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.scoring.bundle import Head
from app.scoring.decoding import Outputs
from training.calibration.choose import Unfitted, choose_heads, unfitted
from training.compare.settings import Part
from training.pipeline.group_run import GroupRun

ScoreFunction = Callable[[Sequence[str]], Outputs]  # texts → (texts, columns)


@dataclass(frozen=True, slots=True)
class Runtime:
    """A competitor as a service would run it: text to outputs, tokenising included, on one thread."""

    name: str  # float32, int8, or the library that runs it
    bytes: int
    outputs: ScoreFunction


@dataclass(frozen=True, slots=True)
class Competitor:
    """A model that scores one item."""

    outputs: ScoreFunction
    parameters: int  # all trained weights
    seconds: float | None  # of training, a share of the time if several items train together; None if unknown
    runtimes: Callable[[], list[Runtime]]  # called only for timing
    out_of_fold: Unfitted | None = None  # if no part of train was held out
    head: Head | None = None  # if no head is to be chosen


@dataclass(frozen=True, slots=True)
class Contestant:
    """A method of training competitors, one for each item of a run, in the order of the items."""

    name: str
    title: str
    seeded: bool  # whether it is trained with several seeds
    make: Callable[[GroupRun, int], list[Competitor]]
    reads: tuple[Part, ...]  # settings that it depends on; results stay when other settings change
    timed: bool = True


def heads_of(run: GroupRun, competitors: Sequence[Competitor]) -> list[Head]:
    """Return a head for each competitor, chosen as for the students that serve."""
    heads = [competitor.head for competitor in competitors if competitor.head is not None]
    if heads:
        return heads
    pairs = zip(competitors, run.parts, strict=True)
    return choose_heads([competitor.out_of_fold or unfitted(parts, competitor.outputs) for competitor, parts in pairs])
