from dataclasses import replace

import pytest

from app.scoring.item import Item
from tests.training.example_rows import GRADES, ITEM, LABELS, marked
from training.config import Phrases
from training.evaluation.attacks import CHANGED, JUNK, attacks, good_responses

PROMPT = Item(
    item_id="heat-1",
    prompt="Why does heat rise in a closed room?",
    passage=" ".join(f"passage{number}" for number in range(80)),
    scale="points",
    max_score=3,
)
GOOD = [
    "the warm air is lighter and rises because pressure decreases",
    "more particles have energy so they can spread upwards",
    "the density of the gas increases when it was cooled",
    "heating makes everything expand until nothing holds it",
]
ENGLISH = Phrases()
OTHERS = [f"a tadpole grows legs in week {number}" for number in range(9)]


def made(
    item: Item = PROMPT, good: list[str] = GOOD, others: list[str] = OTHERS, count: int = 6
) -> dict[str, list[str]]:
    return attacks(item, good, others, ENGLISH, count, seed=1)


def negated(text: str, phrases: Phrases = ENGLISH) -> list[str]:
    """Return the response with all words negated that have an opposite, or nothing if no word has."""
    return attacks(ITEM, [text], [], phrases, 1, seed=0).get("negation", [])


def test_the_same_seed_gives_the_same_texts() -> None:
    assert made() == made()
    assert attacks(PROMPT, GOOD, OTHERS, ENGLISH, 6, seed=2) != made()


def test_every_attack_has_the_requested_number_of_texts() -> None:
    tried = made(count=4)

    assert list(tried) == [*JUNK, *CHANGED]
    assert {name: len(texts) for name, texts in tried.items()} == {
        **dict.fromkeys(tried, 4),
        "negation": 3,  # the last response has no word to negate
    }
    assert all(text.strip() for texts in tried.values() for text in texts)


def test_few_good_responses_limit_changed_attacks() -> None:
    tried = made(count=100)

    assert {name: len(tried[name]) for name in ("shuffled", "padding", "adverb", "other_item")} == {
        "shuffled": 4,
        "padding": 4,
        "adverb": 4,
        "other_item": 9,
    }
    assert {len(tried[name]) for name in ("characters", "words", "keywords", "prompt", "begging")} == {100}


def test_no_attacks_are_made_for_a_count_of_zero() -> None:
    assert made(count=0) == {}


def test_no_good_responses_leave_only_junk() -> None:
    assert set(made(good=[])) == {"characters", "prompt", "other_item", "begging"}


def test_no_other_items_leave_out_their_attack() -> None:
    assert "other_item" not in made(others=[])
    assert set(made()["other_item"]) <= set(OTHERS)


def test_short_words_make_no_keywords() -> None:
    tried = made(good=["it is hot", "air goes up"])

    assert "keywords" not in tried
    assert "words" in tried


def test_keywords_are_long_words_of_good_responses() -> None:
    words = {word for text in GOOD for word in text.split()}
    tried = made(count=30)

    listed = [word for text in tried["keywords"] for word in text.split(", ")]
    assert set(listed) <= {word for word in words if len(word) >= 6}
    assert {len(text.split(", ")) for text in tried["keywords"]} <= set(range(3, 11))
    assert {word for text in tried["words"] for word in text.split()} <= words
    assert all(5 <= len(text.split()) <= 40 for text in tried["words"])
    assert all(text not in GOOD for text in tried["words"])


def test_random_characters_are_no_words() -> None:
    tried = made(count=30)["characters"]

    assert all(set(text) <= set("abcdefghijklmnopqrstuvwxyz ") for text in tried)
    assert not {word for text in tried for word in text.split() if len(word) > 4} & {
        word for text in GOOD for word in text.split()
    }
    assert len(set(tried)) == 30


def test_prompt_attack_is_a_run_of_prompt_and_passage() -> None:
    given = f"{PROMPT.prompt} {PROMPT.passage}"
    tried = made(count=200)["prompt"]

    assert all(f" {text} " in f" {given} " for text in tried)
    assert {len(text.split()) for text in tried} == set(range(10, 51))
    assert any(text.startswith("Why") for text in tried)
    assert any(text.endswith("passage79") for text in tried)


def test_short_prompt_is_copied_whole() -> None:
    assert set(made(ITEM)["prompt"]) == {ITEM.prompt}


def test_shuffled_responses_keep_their_words() -> None:
    tried = made(count=4)["shuffled"]

    assert sorted(sorted(text.split()) for text in tried) == sorted(sorted(text.split()) for text in GOOD)
    assert not set(tried) & set(GOOD)


def test_padding_surrounds_the_response() -> None:
    phrases = Phrases(padding="and so on")

    tried = attacks(PROMPT, GOOD, [], phrases, 4, seed=1)["padding"]

    assert sorted(tried) == sorted(f"and so on {text} and so on" for text in GOOD)


def test_adverb_attack_adds_one_word() -> None:
    phrases = Phrases(adverbs=("hardly",))

    tried = attacks(PROMPT, GOOD, [], phrases, 4, seed=1)["adverb"]

    less = [" ".join(word for word in text.split() if word != "hardly") for text in tried]
    assert sorted(less) == sorted(GOOD)
    assert all(text.split().count("hardly") == 1 for text in tried)


def test_begging_has_one_or_two_phrases() -> None:
    phrases = Phrases(begging=("please", "kindly"))

    tried = attacks(PROMPT, GOOD, [], phrases, 50, seed=1)["begging"]

    assert {*tried} <= {"please", "kindly", "please please", "please kindly", "kindly please", "kindly kindly"}
    assert {len(text.split()) for text in tried} == {1, 2}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("it is warm", "it is not warm"),
        ("Pressure increases.", "Pressure decreases."),
        ("pressure decreases, and more", "pressure increases, and less"),
        ("less is more", "more is not less"),
        ("IS it? It CAN be", "is not it? It cannot be"),
        ("it cannot be, it is\nNOT", "it can be, it is"),
    ],
)
def test_negation_swaps_opposites_both_ways(text: str, wanted: str) -> None:
    assert negated(text) == [wanted]


@pytest.mark.parametrize(
    ("text", "opposites", "wanted"),
    [
        ("Sie ist warm, Nicht kalt", (("ist", "ist nicht"), ("nicht", "sehr")), "Sie ist nicht warm, sehr kalt"),
        ("空气是热的", (("是", "不是"),), "空气不是热的"),
        ("空气不是热的", (("是", "不是"),), "空气是热的"),
        ("a+b (c)", (("a+b", "(c)"),), "(c) a+b"),
    ],
)
def test_opposites_of_any_language_are_swapped(text: str, opposites: tuple[tuple[str, str], ...], wanted: str) -> None:
    assert negated(text, Phrases(opposites=opposites)) == [wanted]


def test_no_opposites_negate_nothing() -> None:
    assert negated("it is warm", Phrases(opposites=())) == []


def test_parts_of_words_are_not_negated() -> None:
    assert negated("this island moreover candied dots") == []


@pytest.mark.parametrize("text", ["it can't rise", "it can’t rise"])
def test_contraction_is_one_word(text: str) -> None:
    """Negation never makes "cannot't", which no learner writes."""
    assert negated(text) == []


def test_responses_without_opposites_are_left_out() -> None:
    tried = made(count=4)["negation"]

    assert len(tried) == 3
    assert not [text for text in tried if text in GOOD]
    assert "negation" not in made(good=["heating expands everything"])


@pytest.mark.parametrize("item", [ITEM, GRADES])
def test_good_responses_have_the_best_score_given(item: Item) -> None:
    rows = marked(20, item=item)
    best = max(row.value for row in rows)

    tried = good_responses(item, rows)

    assert tried == [row.text for row in rows if row.value >= best - item.tolerance]
    assert len(tried) == 5
    fewer = [row for row in rows if row.value < best - item.tolerance]
    assert good_responses(item, fewer) == [
        row.text for row in fewer if row.value >= max(row.value for row in fewer) - item.tolerance
    ]


def test_good_responses_have_the_smallest_score_if_lower_is_better() -> None:
    german = {"better": "lower"}
    points, grades = ITEM.model_copy(update=german), GRADES.model_copy(update=german)
    rows = {item.scale: marked(20, item=item) for item in (points, grades)}

    for item in (points, grades):
        tried = good_responses(item, rows[item.scale])

        assert tried == [row.text for row in rows[item.scale] if row.value <= item.lowest + item.tolerance]
        assert len(tried) == 5
    assert good_responses(points, [replace(row, value=3) for row in rows["points"]]) == []
    assert good_responses(grades, [replace(row, value=6) for row in rows["continuous"]]) == []


def test_responses_with_the_worst_score_are_never_good() -> None:
    assert good_responses(ITEM, [replace(row, value=0) for row in marked(4)]) == []
    assert good_responses(GRADES, [replace(row, value=1) for row in marked(4)]) == []
    assert good_responses(ITEM, []) == []


def test_all_responses_with_nominal_labels_are_good() -> None:
    rows = marked(8, item=LABELS)

    assert good_responses(LABELS, rows) == [row.text for row in rows]
