import random
from collections.abc import Callable

import pytest

from app.scoring.conditions import Examiner, Finding
from app.scoring.featurizer import Featurizer
from app.scoring.item import Item
from tests.training.data import FILLERS, IDEAS, ITEM, LABELS, item_data
from training.conditions import OFF_TOPIC, UNREADABLE, learn_limits
from training.config import TrainingConfig
from training.datasets.responses import MarkedResponse
from training.splits import Parts, split
from training.tokenizer import learn_tokenizer

CONFIG = TrainingConfig()


def parts(train: int = 400, item: Item = ITEM) -> Parts:
    return split(item_data(train, 200, 100, item=item), CONFIG)


def examiner(own: Parts) -> Callable[[str], Finding]:
    tokenizer = learn_tokenizer([*(row.text for row in own.marked), *own.unlabelled], 120)
    [limits] = learn_limits([own], tokenizer, 256)
    featurizer = Featurizer.from_bytes(tokenizer, 256)
    looked = Examiner(limits, own.item, featurizer)
    return lambda text: looked.examine(text, featurizer.read([text])[0])


def marked(texts: list[tuple[str, int]]) -> tuple[MarkedResponse, ...]:
    return tuple(
        MarkedResponse(f"m{n}", "heat-1", text, value, None, None, ()) for n, (text, value) in enumerate(texts)
    )


def test_few_real_responses_lie_beyond_the_limits() -> None:
    own = parts()
    looked = examiner(own)

    found = [looked(row.text) for row in own.dev]

    assert sum(own.condition is not None or own.flags != () for own in found) <= 0.05 * len(found)


@pytest.mark.parametrize(
    "text",
    [
        "xq zvk wpp jjq kkz vvx qqw zzj kwq pvx",
        "Der Wind weht und das Handtuch trocknet schneller, weil es wärmer ist als im Keller.",
        "Моя собака любит есть рыбу и спать весь день на диване",
    ],
)
def test_what_no_one_wrote_is_noticed(text: str) -> None:
    found = examiner(parts())(text)

    assert found.condition == "unreadable" or found.flags == ("off_topic",)


def test_a_response_is_not_measured_by_its_own_words() -> None:
    """Cross-fitted: else everyone's rare words look usual, and the limit is too low for new responses."""
    generator = random.Random(1)  # noqa: S311  # no secret
    texts = [f"{generator.choice(IDEAS)} {generator.choice(FILLERS)} {generator.getrandbits(60):x}" for _ in range(300)]
    own = Parts(ITEM, marked([(text, 1) for text in texts[:200]]), (), (), ())
    looked = examiner(own)

    flagged = sum(looked(text) != Finding() for text in texts[200:])

    assert flagged <= 10


def test_how_short_is_too_short_is_learnt_from_the_scores() -> None:
    long = [(f"{IDEAS[n % 3]} {FILLERS[n % 6]}", 1 + n % 2) for n in range(100)]
    never = Parts(ITEM, marked([*long, *[(f"warm {n}", 0) for n in range(9)]]), (), (), ())
    once = Parts(ITEM, marked([*long, *[(f"warm {n}", n // 8) for n in range(9)]]), (), (), ())

    assert examiner(never)("warm 3").condition == "too_short"
    assert examiner(once)("warm 3").condition is None


def test_words_that_were_never_worth_anything_become_refusals() -> None:
    long = [(f"{IDEAS[n % 3]} {FILLERS[n % 6]} {n}", 1 + n % 2) for n in range(100)]
    own = Parts(
        ITEM,
        marked([*long, *[("magic did it", 0)] * 3, *[("warm air", 0), ("warm air", 0), ("Warm air!", 1)]]),
        (),
        (),
        (),
    )
    looked = examiner(own)

    assert looked("Magic did it!").condition == "refusal"
    assert looked("warm air").condition is None
    assert looked("I don't know.").condition == "refusal"  # known everywhere


def test_labels_without_order_have_no_lowest_score() -> None:
    [limits] = learn_limits([own := parts(item=LABELS)], learn_tokenizer([r.text for r in own.marked], 120), 256)

    assert limits.min_pieces == 1


def test_items_with_few_responses_share_what_is_rare() -> None:
    few = [parts(24), parts(24)]
    tokenizer = learn_tokenizer([row.text for own in few for row in own.marked], 120)

    first, second = learn_limits(few, tokenizer, 256)

    assert first.surprise == second.surprise
    assert first.log_frequency != ()


def test_few_responses_in_a_hundred_may_lie_beyond_the_limits() -> None:
    assert OFF_TOPIC + UNREADABLE < 0.02
