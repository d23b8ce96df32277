"""Summaries of a data set and warnings about its faults, before hours of training are spent on it."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from app.scoring.agreement import MIN_PAIRS, cohens_kappa, exact_agreement, none_if_nan, quadratic_weighted_kappa
from app.scoring.gate import Policy
from app.scoring.item import Item
from app.scoring.text import is_blank
from training.calibration.condition_limits import contradicted, contradiction_warning
from training.config import StudentConfig
from training.data import DataSet, ItemData
from training.data.responses import MarkedResponse
from training.data.splits import folded
from training.student.token_lengths import enough_tokens, expected_counts, over_long_share, over_long_warning


@dataclass(frozen=True, slots=True)
class ItemSummary:
    """Counts of one item.  Texts are compared without case and extra spacing."""

    item_id: str
    scale: str
    train: int
    dev: int
    unlabelled: int
    distribution: dict[str, int]  # marked responses in train for each score, label or quarter of the grades
    double_scored: int  # rows of train that two raters scored
    human_qwk: float | None  # of the two raters in train, from MIN_PAIRS double-scored rows; ordered scales
    human_exact: float | None  # of the two raters, as a share of equal scores, or of grades within a tenth of the scale
    human_kappa: float | None  # of the two raters, unweighted; labels without an order
    outside_raters: int  # rows of train and dev whose score lies outside the range of its two raters
    blank: int  # in train
    duplicates: int  # rows of train whose text stands in an earlier row
    conflicts: int  # texts that stand in train with different scores
    leaks: int  # rows of dev whose text or learner stands in train
    over_long: float  # share of train and dev that student.max_tokens would cut, by default
    enough_tokens: int | None  # student.max_tokens that the gate asks for, where the default is too little
    refusals_contradicted: dict[str, int]  # rows of train and dev that earned something, by refusal of the item
    seen: int  # rows of dev whose text stands in unlabelled: a student reads the text, but no human score
    learners: int  # in train, as far as they are known
    missing: dict[str, int]  # rows of train and dev in which an optional column is empty, by its name

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)

    @property
    def said_missing(self) -> str:
        """Return the counts of empty cells for a message."""
        return ", ".join(f"{count} in {name}" for name, count in self.missing.items())

    @property
    def agreement_of_raters(self) -> str:
        """Return the figures that suit the scale, or the reason for their absence, for a cell of a table."""
        if 0 < self.double_scored < MIN_PAIRS:
            return f"- (fewer than {MIN_PAIRS} rows)"
        figures = {"QWK": self.human_qwk}
        if self.scale == "nominal":
            figures = {"exact": self.human_exact, "kappa": self.human_kappa}
        shown = [f"{name} {value:.3f}" for name, value in figures.items() if value is not None]
        return ", ".join(shown) or "-"

    @property
    def warnings(self) -> list[str]:
        """Return a sentence for each fault that would make figures wrong without stopping a run."""
        warnings = []
        if self.outside_raters:
            warnings.append(self._raters_warning)
        if self.enough_tokens is not None:
            shares = {"train and dev": self.over_long}
            max_tokens = StudentConfig().max_tokens
            warnings.append(over_long_warning(self.item_id, shares, max_tokens, self.enough_tokens))
        for entry, count in self.refusals_contradicted.items():
            warnings.append(contradiction_warning(self.item_id, entry, count))
        return warnings

    @property
    def _raters_warning(self) -> str:
        return (
            f"{self.item_id}: the score of {self.outside_raters} row(s) of train and dev lies outside the range of "
            "score_1 and score_2, as a sum of two raters does. Figures that compare the machine with both raters, such "
            "as PRMSE, will be wrong. Write a score between the two, or leave score_1 and score_2 out."
        )


def summarise(data: DataSet) -> list[ItemSummary]:
    """Return a summary of each item, in the order of the items file."""
    return [_summary(data.of(item_id)) for item_id in data.items]


def _summary(data: ItemData) -> ItemSummary:
    item, train, marked = data.item, data.train, (*data.train, *data.dev)
    scores: dict[str, set[float]] = defaultdict(set)
    for row in train:
        scores[folded(row.text)].add(row.value)
    unlabelled = {folded(row.text) for row in data.unlabelled}
    learners = {row.learner_id for row in train} - {None}
    counts, limit = _token_counts(data), Policy().max_over_long
    over_long = over_long_share(counts, StudentConfig().max_tokens)
    enough = enough_tokens(counts, limit) if over_long > limit else None
    empty_columns = Counter(name for row in marked for name in row.missing)
    return ItemSummary(
        item_id=item.item_id,
        scale=item.scale,
        train=len(train),
        dev=len(data.dev),
        unlabelled=len(data.unlabelled),
        distribution=_distribution(item, [row.value for row in train]),
        **_human_agreement(item, [row.raters for row in train if row.raters is not None]),
        outside_raters=sum(_is_outside(item, row) for row in marked),
        blank=sum(is_blank(row.text) for row in train),
        duplicates=len(train) - len(scores),
        conflicts=sum(len(values) > 1 for values in scores.values()),
        over_long=over_long,
        enough_tokens=enough,
        refusals_contradicted=contradicted(item, marked),
        seen=sum(folded(row.text) in unlabelled for row in data.dev),
        leaks=sum(folded(row.text) in scores or row.learner_id in learners for row in data.dev),
        learners=len(learners),
        missing=dict(empty_columns),
    )


def _token_counts(data: ItemData) -> list[int]:
    """Return the tokens of each row of train and dev under a tokenizer learnt from train and unlabelled."""
    marked = [row.text for row in (*data.train, *data.dev) if not is_blank(row.text)]
    written = [*(row.text for row in data.train), *(row.text for row in data.unlabelled)]
    return expected_counts(marked, [text for text in written if not is_blank(text)], StudentConfig())


def _distribution(item: Item, values: Sequence[float]) -> dict[str, int]:
    if not item.is_continuous:
        return {name: values.count(number) for number, name in enumerate(item.names())}
    counts, edges = np.histogram(values, bins=4, range=(item.lowest, item.highest))
    names = [f"{low:g}-{high:g}" for low, high in itertools.pairwise(edges)]
    return dict(zip(names, map(int, counts), strict=True))


def _human_agreement(item: Item, pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return the fields of a summary that compare two raters.  Below MIN_PAIRS rows there is none."""
    first, second = [score for score, _ in pairs], [score for _, score in pairs]
    figures: dict[str, Any] = {"human_qwk": None, "human_exact": None, "human_kappa": None}
    if len(pairs) >= MIN_PAIRS:
        figures["human_exact"] = exact_agreement(first, second, item.tolerance)
        if item.is_ordered:
            figures["human_qwk"] = none_if_nan(quadratic_weighted_kappa(first, second))
        else:
            figures["human_kappa"] = none_if_nan(cohens_kappa(first, second))
    return {"double_scored": len(pairs), **figures}


def _is_outside(item: Item, row: MarkedResponse) -> bool:
    if row.raters is None:
        return False
    if not item.is_ordered:
        return row.value not in row.raters
    return not min(row.raters) <= row.value <= max(row.raters)
