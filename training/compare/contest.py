"""What every competitor is given, and what it must show.  A competitor scores one item."""

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
    """A competitor as it would serve: text to outputs, tokenising included, on one thread."""

    name: str  # float32, int8, or the library that runs it
    bytes: int
    outputs: ScoreFunction


@dataclass(frozen=True, slots=True)
class Competitor:
    outputs: ScoreFunction
    parameters: int  # learned weights, all counted
    seconds: float | None  # of training, a share of what several items needed together; None if not known
    runtimes: Callable[[], list[Runtime]]  # made only when they are timed
    out_of_fold: Unfitted | None = None  # where no part of train was held back from it
    head: Head | None = None  # where none is to be chosen


@dataclass(frozen=True, slots=True)
class Contestant:
    """A way of making competitors, one for each item of a run, in the items' order."""

    name: str
    title: str
    seeded: bool  # whether it is made with several seeds
    make: Callable[[GroupRun, int], list[Competitor]]
    reads: tuple[Part, ...]  # settings that decide what it comes to; a change of others does not make it anew
    timed: bool = True


def heads_of(run: GroupRun, competitors: Sequence[Competitor]) -> list[Head]:
    """Return a head for each competitor, chosen as for the students that serve."""
    ready = [own.head for own in competitors if own.head is not None]
    if ready:
        return ready
    return choose_heads(
        [made.out_of_fold or unfitted(parts, made.outputs) for made, parts in zip(competitors, run.parts, strict=True)]
    )
