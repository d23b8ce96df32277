from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from app.scoring.agreement import equal_scores
from app.scoring.bundle import Calibration, Head, Interval
from app.scoring.decoding import Outputs, decode, softmax
from app.scoring.evidence import expected_calibration_error
from app.scoring.item import Item
from tests.training.example_rows import GRADES, ITEM, LABELS, item_data
from training.calibration.choose import Unfitted, choose_heads, group_threshold
from training.calibration.confidence import ENOUGH, choose_confidence, choose_interval, choose_set, choose_temperature
from training.calibration.cuts_and_target import choose_cuts
from training.calibration.threshold import choose_threshold
from training.common.within_items import qwk_within
from training.config import TrainingConfig
from training.data.responses import MarkedResponse
from training.data.splits import Parts, split
from training.data.targets import targets

TENTH = Head(cuts=None, interval=Interval(coverage=0.9, deviations=1.6448536))
CONFIG = TrainingConfig(validation_share=0.3)


def parts_of(item: Item, seed: int = 0, train: int = 80) -> Parts:
    return split(item_data(train, 8, 10, item, seed), CONFIG)


def noisy(item: Item, values: list[float], seed: int) -> NDArray[np.float64]:
    """Return outputs about the values given: of any confidence, and often wrong if it is low."""
    generator = np.random.default_rng(seed)
    if item.is_continuous:
        deviations = generator.uniform(0.01, 0.4, len(values))
        means = targets(item, values) + deviations * generator.normal(0, 1, len(values))
        return np.stack([means, deviations**2], axis=1)
    sureness = generator.uniform(0, 8, (len(values), 1))
    return np.asarray(sureness * np.eye(4)[np.array(values, int)] + generator.normal(0, 1, (len(values), 4)))


def unfitted(item: Item, seed: int = 0, train: int = 80) -> Unfitted:
    parts = parts_of(item, seed, train)
    return Unfitted(parts, noisy(item, [row.value for row in parts.validation], seed))


def out_of_fold(item: Item, seed: int = 0, train: int = 80) -> Unfitted:
    unfit = unfitted(item, seed, train)
    return replace(unfit, fit=noisy(item, [row.value for row in unfit.parts.fit], seed + 2))


def head_of(unfit: Unfitted) -> Head:
    [head] = choose_heads([unfit])
    return head


def all_of(group: list[Unfitted]) -> tuple[list[float], NDArray[np.float64]]:
    human = [targets(unfit.parts.item, [row.value for row in unfit.rows]) for unfit in group]
    return np.concatenate(human).tolist(), np.concatenate([unfit.outputs for unfit in group])


def test_unfitted_rows_and_outputs_are_in_the_same_order() -> None:
    unfit = out_of_fold(ITEM)
    assert unfit.fit is not None

    assert list(unfit.rows) == [*unfit.parts.validation, *unfit.parts.fit]
    assert unfit.outputs.tolist() == [*unfit.validation.tolist(), *unfit.fit.tolist()]
    assert unfit.human.tolist() == [row.value for row in unfit.rows]
    without = replace(unfit, fit=None)
    assert list(without.rows) == list(unfit.parts.validation)
    assert without.outputs.tolist() == unfit.validation.tolist()


def test_cuts_are_chosen_on_all_items_about_the_mean_of_each() -> None:
    group = [out_of_fold(ITEM, 0), unfitted(ITEM, 10)]

    heads = choose_heads(group)

    marked = [[row.value for row in unfit.parts.marked] for unfit in group]
    human, temperature = [unfit.human.tolist() for unfit in group], heads[0].calibration.temperature
    assert temperature != 1
    assert [head.cuts for head in heads] == choose_cuts(
        ITEM, marked, human, [unfit.outputs / temperature for unfit in group]
    )
    assert heads[0].cuts != heads[1].cuts
    assert head_of(group[0]).cuts != heads[0].cuts


def test_unlabelled_responses_do_not_move_cuts() -> None:
    """Unmarked learners may be weaker, or have another task, so that only human scores may move the cuts."""
    unfit = out_of_fold(ITEM)

    with_unlabelled = replace(unfit, parts=replace(unfit.parts, unlabelled=("nothing", "at all") * 500))

    assert choose_heads([with_unlabelled]) == choose_heads([unfit])


def test_head_counts_the_responses_it_was_chosen_on() -> None:
    group = [out_of_fold(ITEM, 0), unfitted(ITEM, 10)]
    few = replace(group[1], parts=replace(group[1].parts, validation=group[1].parts.validation[:8]))
    few = replace(few, validation=few.validation[:8])

    for head in choose_heads(group):
        assert head.chosen_on == len(group[0].rows) + len(group[1].rows)
    assert (head_of(few).chosen_on, head_of(few).coverage) == (8, None)


@pytest.mark.parametrize("item", [ITEM, LABELS])
def test_calibration_and_sets_are_fitted_on_all_unfitted_rows(item: Item) -> None:
    group = [out_of_fold(item, 0), out_of_fold(item, 10)]

    heads = choose_heads(group)

    human, outputs = all_of(group)
    temperature = choose_temperature(human, outputs)
    plain = Calibration(temperature=temperature)
    scores = [
        score
        for unfit, head in zip(group, heads, strict=True)
        for score in decode(unfit.outputs, item, head.model_copy(update={"calibration": plain}))
    ]
    head = heads[0]
    assert head.calibration == heads[1].calibration
    assert head.calibration.temperature == temperature != 1
    assert head.prediction_set == choose_set(human, softmax(outputs / temperature))
    right = equal_scores(human, [score.value for score in scores])
    assert head.calibration == choose_confidence(temperature, [score.confidence for score in scores], right)
    assert head.calibration.slope != 1
    assert (head.cuts is None) is (item is LABELS)


def test_interval_is_chosen_on_all_grades_as_shares_of_their_scales() -> None:
    wide = GRADES.model_copy(update={"item_id": "wide", "min_score": 0, "max_score": 100})
    group = [out_of_fold(GRADES, 0), unfitted(wide, 10)]

    head, other = choose_heads(group)

    assert head == other
    assert head.interval == choose_interval(*all_of(group))
    assert (head.cuts, head.prediction_set, head.calibration.temperature) == (None, None, 1)
    assert head_of(group[0]).interval != head.interval != head_of(group[1]).interval


def test_confidence_of_grades_is_fitted_to_agreement_within_tolerance() -> None:
    group = [out_of_fold(GRADES, 0, train=200), out_of_fold(GRADES, 10, train=200)]

    head, _ = choose_heads(group)

    plain = Head(cuts=None, interval=head.interval)
    scored = [(unfit, decode(unfit.outputs, GRADES, plain)) for unfit in group]
    p = [score.confidence for _, scores in scored for score in scores]
    near = [
        abs(score.value - row.value) <= 0.5 + 1e-9
        for unfit, scores in scored
        for score, row in zip(scores, unfit.rows, strict=True)
    ]
    assert head.calibration == choose_confidence(1.0, p, near)


def test_confidence_is_calibrated_on_new_rows() -> None:
    """The model is overconfident: its logits are six times too large."""
    old, new = out_of_fold(ITEM, 0, train=800), out_of_fold(ITEM, 50, train=800)
    assert old.fit is not None

    head = head_of(replace(old, validation=6 * old.validation, fit=6 * old.fit))

    def error(head: Head) -> float:
        scores = decode(6 * new.outputs, ITEM, head)
        right = equal_scores(new.human, [score.value for score in scores])
        return expected_calibration_error([score.confidence for score in scores], right)

    assert error(head.model_copy(update={"calibration": Calibration()})) > 0.1 > 2 * error(head)


def test_confidence_is_calibrated_for_scores_that_cuts_moved() -> None:
    """The model is lenient: cuts move some of its scores, and its own probabilities mislead."""

    def spoilt(outputs: Outputs) -> Outputs:
        return np.asarray(outputs + np.array([0, 0, 0, 1.5]))

    old, new = out_of_fold(ITEM, 0, train=800), out_of_fold(ITEM, 50, train=800)
    assert old.fit is not None
    head = head_of(Unfitted(old.parts, spoilt(old.validation), spoilt(old.fit)))

    def error(head: Head) -> float:
        scores = decode(spoilt(new.outputs), ITEM, head)
        right = equal_scores(new.human, [score.value for score in scores])
        return expected_calibration_error([score.confidence for score in scores], right)

    plain = head.calibration.model_copy(update={"slope": 1.0, "intercept": 0.0})
    assert error(head) < 0.8 * error(head.model_copy(update={"calibration": plain}))


def test_few_rows_leave_confidence_uncalibrated() -> None:
    unfit = unfitted(ITEM, train=80)
    assert len(unfit.rows) < ENOUGH

    assert head_of(unfit).calibration == Calibration()


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_item_without_validation_rows_adds_nothing_to_its_group(item: Item) -> None:
    unfit = unfitted(item, 10)
    rows = tuple(replace(row, raters=None) for row in unfit.parts.fit)
    empty = Unfitted(replace(unfit.parts, fit=rows, validation=(), unlabelled=()), unfit.validation[:0])
    rest, config = unfitted(item, train=160), CONFIG.model_copy(update={"human_margin": 0.6})

    heads = choose_heads([rest, empty])

    assert heads[0] == head_of(rest)
    assert heads[1].calibration == heads[0].calibration
    threshold = group_threshold([rest, empty], heads, config)
    assert threshold == group_threshold([rest], heads[:1], config) is not None


@pytest.mark.parametrize(("item", "target"), [(ITEM, 0.8), (GRADES, 0.9)])
def test_group_threshold_keeps_the_target_agreement(item: Item, target: float) -> None:
    group = [out_of_fold(item, 0, train=200), out_of_fold(item, 10, train=200)]
    heads = choose_heads(group)
    config = CONFIG.model_copy(update={"human_margin": 1 - target})  # raters always agree here

    threshold = group_threshold(group, heads, config)

    assert threshold is not None
    accepted = [
        (targets(item, [row.value])[0], targets(item, [score.value])[0], number)
        for number, (unfit, head) in enumerate(zip(group, heads, strict=True))
        for score, row in zip(decode(unfit.outputs, item, head), unfit.rows, strict=True)
        if score.confidence >= threshold
    ]
    human, machine, numbers = zip(*accepted, strict=True)
    assert 30 <= len(accepted) < sum(len(unfit.rows) for unfit in group)
    assert qwk_within(human, machine, numbers) >= target


def test_target_of_nominal_labels_is_exact_agreement() -> None:
    group = [out_of_fold(LABELS, 0, train=200)]
    heads = choose_heads(group)
    config = CONFIG.model_copy(update={"target_agreement": 0.8})

    threshold = group_threshold(group, heads, config)

    scores = decode(group[0].outputs, LABELS, heads[0])
    confidence, machine = [score.confidence for score in scores], [score.value for score in scores]
    exact, qwk = (
        choose_threshold(confidence, group[0].human, machine, 0.8, ordered=ordered) for ordered in (False, True)
    )
    assert threshold == exact is not None
    assert threshold != qwk


def test_small_items_have_a_threshold_together() -> None:
    group = [unfitted(ITEM, seed, train=80) for seed in (0, 10, 20)]
    heads = choose_heads(group)
    config = CONFIG.model_copy(update={"human_margin": 0.5})

    assert [group_threshold([unfit], [head], config) for unfit, head in zip(group, heads, strict=True)] == [None] * 3
    assert group_threshold(group, heads, config) is not None


@pytest.mark.parametrize("apart", [0, 2])
def test_differences_between_items_are_not_agreement(apart: int) -> None:
    """Score each item's responses at random within the item's range, for two ranges alike and for two apart."""
    generator = np.random.default_rng(0)
    group = []
    for seed, low in ((0, 0), (10, apart)):
        unfit = out_of_fold(ITEM, seed, train=300)

        def drawn(rows: Sequence[MarkedResponse], low: int = low) -> tuple[MarkedResponse, ...]:
            values = low + generator.integers(0, 2, len(rows))
            return tuple(replace(row, value=int(v), raters=None) for row, v in zip(rows, values, strict=True))

        parts = replace(unfit.parts, fit=drawn(unfit.parts.fit), validation=drawn(unfit.parts.validation))
        guesses = low + generator.integers(0, 2, len(unfit.rows))
        outputs = 4 * np.eye(4)[guesses] + generator.normal(0, 1, (len(guesses), 4))
        group.append(Unfitted(parts, outputs[: len(parts.validation)], outputs[len(parts.validation) :]))
    config = CONFIG.model_copy(update={"target_agreement": 0.3})

    assert group_threshold(group, choose_heads(group), config) is None


def test_raters_are_compared_on_each_items_scale() -> None:
    """On one scale for all, differences between items would pass for agreement of raters."""
    wide = GRADES.model_copy(update={"item_id": "wide-7", "min_score": 0, "max_score": 100})
    generator = np.random.default_rng(0)
    group, pairs = [], []
    for item in (GRADES, wide):
        unfit = unfitted(item)
        shares = generator.uniform(0, 1, (len(unfit.parts.fit), 2))
        values = float(item.min_score or 0) + item.span * shares
        rows = tuple(replace(row, raters=(a, b)) for row, (a, b) in zip(unfit.parts.fit, values.tolist(), strict=True))
        single = tuple(replace(row, raters=None) for row in unfit.parts.validation)
        group.append(replace(unfit, parts=replace(unfit.parts, fit=rows, validation=single)))
        pairs += shares.tolist()
    heads = choose_heads(group)
    scores = [decode(unfit.outputs, unfit.parts.item, head) for unfit, head in zip(group, heads, strict=True)]
    machine = np.concatenate(
        [targets(unfit.parts.item, [s.value for s in given]) for unfit, given in zip(group, scores, strict=True)]
    )
    items = np.repeat([0, 1], [len(unfit.parts.fit) for unfit in group]).tolist()
    own_agreement = qwk_within([a for a, _ in pairs], [b for _, b in pairs], items)
    margin = own_agreement - 0.3  # so that the target is .3

    threshold = group_threshold(group, heads, CONFIG.model_copy(update={"human_margin": margin}))

    numbers = np.repeat([0, 1], [len(unfit.rows) for unfit in group]).tolist()
    confidence = [s.confidence for given in scores for s in given]
    human = np.concatenate([unfit.human for unfit in group])
    assert threshold == choose_threshold(
        confidence, human, machine, own_agreement - margin, ordered=True, items=numbers
    )
    assert threshold is not None
