import random
from collections.abc import Callable, Sequence

import pytest

from app.scoring.conditions import Examination, Examiner, normalised
from app.scoring.featurizer import Featurizer
from app.scoring.item import Item
from tests.training.example_rows import FILLERS, GRADES, IDEAS, ITEM, LABELS, item_data
from training.calibration.condition_limits import (
    OFF_TOPIC,
    REFUSALS,
    UNREADABLE,
    contradicted,
    learn_limits,
    refusals_of,
)
from training.config import TrainingConfig
from training.data.responses import MarkedResponse
from training.data.splits import Parts, split
from training.student.tokenizer import learn_tokenizer

CONFIG = TrainingConfig()


def parts(train: int = 400, item: Item = ITEM) -> Parts:
    return split(item_data(train, 200, 100, item=item), CONFIG)


def examiner(item_parts: Parts) -> Callable[[str], Examination]:
    tokenizer = learn_tokenizer([*(row.text for row in item_parts.marked), *item_parts.unlabelled], 120)
    [limits] = learn_limits([item_parts], tokenizer, 256)
    featurizer = Featurizer.from_bytes(tokenizer, 256)
    item_examiner = Examiner(limits, item_parts.item, featurizer)
    return lambda text: item_examiner.examine(text, featurizer.read([text])[0])


def marked(texts: Sequence[tuple[str, float]]) -> tuple[MarkedResponse, ...]:
    return tuple(
        MarkedResponse(f"m{n}", "heat-1", text, value, None, None, ()) for n, (text, value) in enumerate(texts)
    )


def test_few_real_responses_lie_beyond_the_limits() -> None:
    item_parts = parts()
    examine = examiner(item_parts)

    examinations = [examine(row.text) for row in item_parts.dev]

    assert sum(seen != Examination() for seen in examinations) <= 0.05 * len(examinations)


@pytest.mark.parametrize(
    "text",
    [
        "xq zvk wpp jjq kkz vvx qqw zzj kwq pvx",
        "Der Wind weht und das Handtuch trocknet schneller, weil es wärmer ist als im Keller.",
        "Моя собака любит есть рыбу и спать весь день на диване",
    ],
)
def test_unlikely_text_is_flagged(text: str) -> None:
    examination = examiner(parts())(text)

    assert examination.condition == "unreadable" or examination.flags == ("off_topic",)


def test_surprise_is_cross_fitted() -> None:
    """Without cross-fitting a response's rare words look usual, and the limit is too low for new responses."""
    generator = random.Random(1)  # noqa: S311  # no secret
    texts = [f"{generator.choice(IDEAS)} {generator.choice(FILLERS)} {generator.getrandbits(60):x}" for _ in range(300)]
    item_parts = Parts(ITEM, marked([(text, 1) for text in texts[:200]]), (), (), ())
    examine = examiner(item_parts)

    flagged = sum(examine(text) != Examination() for text in texts[200:])

    assert flagged <= 10


def test_common_wrong_answer_is_no_refusal() -> None:
    """Nine responses with the same wrong word make no refusal."""
    long = [(f"{IDEAS[n % 3]} {FILLERS[n % 6]} {n}", 1 + n % 2) for n in range(100)]
    examine = examiner(Parts(ITEM, marked([*long, *[("magic", 0)] * 9, *[("warm", 0)] * 9]), (), (), ()))

    assert examine("Magic!").condition is None
    assert examine("warm").condition is None
    assert examine("I don't know.").condition == "refusal"


ZERO, ONE = 0, 1
GERMAN = Item(item_id="heat-1", prompt="Why?", scale="points", min_score=1, max_score=6, better="lower")


@pytest.mark.parametrize(
    ("item", "rows", "out"),
    [
        (ITEM, [("Na.", ONE), ("None!", ZERO)], {"na"}),  # sodium
        (ITEM, [("none", ZERO), ("NONE", ONE)], {"none"}),  # one row is enough
        (ITEM, [("nothing at all", ONE), ("na na", ONE)], set()),
        (GRADES, [("none", 1.0), ("nothing", 1.1)], {"nothing"}),  # the worst grade is 1
        (GERMAN, [("none", 0), ("nothing", 5)], {"none"}),  # of six marks the last is the worst
        (LABELS, [("none", ZERO), ("nothing", ONE)], {"none", "nothing"}),  # no label is the worst
    ],
)
def test_text_that_earned_credit_is_no_refusal(item: Item, rows: list[tuple[str, float]], out: set[str]) -> None:
    every = {normalised(entry) for entry in REFUSALS}

    assert set(refusals_of(item, marked(rows))) == every - out


def test_refusals_on_the_items_list_stay_despite_contradicting_rows() -> None:
    item = ITEM.model_copy(update={"refusals": ("No comment!", "none")})
    rows = marked([("none", 1), ("NONE.", 2), ("no comment", 0)])

    assert {"no comment", "none", "idk"} <= set(refusals_of(item, rows))
    assert contradicted(item, rows) == {"none": 2}


# Right answers, wrong answers, and answers that no learner gave in training.  Each must reach the student.
SHORT = {
    "sodium": (("Na", "na", "Na.", "NA", "N a"), ("So", "S", "K", "sodium"), ("N.a.", "Na+", "-> Na")),
    "none": (("none", "None", "nothing", "zero"), ("all", "one", "some", "three of them"), ("Nothing!", "nill")),
    "letter": (("H", "h", "H.", "(H)"), ("He", "O", "C", "A"), ("H!", '"H"', "\u0397")),
    "number": (("2", "2.0", "two", "x = 2"), ("3", "-2", "20", "x = 3"), ("2,0", "x=2", "x = 7", "9")),
    "third": (("1/3", "0.33", "0.333", "a third"), ("0.3", "3", "30"), ("0.33333333", "10000000000")),
    "sign": (("<", "less", ">="), (">", "=", "more"), ("\u2264", "<!", "<<")),
}


@pytest.mark.parametrize("name", SHORT)
def test_short_answers_right_or_wrong_reach_the_student(name: str) -> None:
    right, wrong, new = SHORT[name]
    item = Item(item_id="heat-1", prompt="What is it?", scale="points", max_score=1)
    rows = [(text, 1) for text in right] * 18 + [(text, 0) for text in wrong] * 15
    examine = examiner(Parts(item, marked(rows), (), (), ()))

    held = {text: condition for text in (*right, *wrong, *new) if (condition := examine(text).condition)}

    assert held == {}


def test_items_of_a_model_share_limits() -> None:
    few = [parts(24), parts(24)]
    tokenizer = learn_tokenizer([row.text for item_parts in few for row in item_parts.marked], 120)

    first, second = learn_limits(few, tokenizer, 256)

    assert first.surprise == second.surprise
    assert first.log_frequency != ()


def test_shares_beyond_the_limits_are_below_two_percent() -> None:
    assert OFF_TOPIC + UNREADABLE < 0.02
