"""The demo data: reproducible, complete, and scored as its rubrics say."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from training.demo.generator import (
    GROUPS,
    RATERS_DIFFER,
    WORDS,
    Demo,
    DemoRow,
    Learner,
    answer,
    generate,
    normalised,
    stream,
    write,
)
from training.demo.grammar import Grammar, Statement, expand, load_grammars, mark

NAMES = ["items", "train", "dev", "unlabelled"]
GRAMMARS = {str(grammar.item["item_id"]): grammar for grammar in load_grammars()}
TOWEL, FERRY, SNAILS = "demo-drying-towel", "demo-steel-ferry", "demo-snail-race"


@pytest.fixture(scope="module")
def demo() -> Demo:
    return generate(seed=1)


def rows_of(rows: list[DemoRow], item_id: str) -> list[DemoRow]:
    return [row for row in rows if row["item_id"] == item_id]


def statements(grammar: Grammar, *names: str) -> list[Statement]:
    known = {part.name: part for part in (*grammar.ideas, *grammar.misconceptions, grammar.vague, grammar.keywords)}
    return [known[name] for name in names]


def test_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-m", "training.demo", "--seed", "7", "--out", str(tmp_path / hash_seed)]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": hash_seed})

    for name in NAMES:
        first, second = ((tmp_path / hash_seed / f"{name}.jsonl").read_bytes() for hash_seed in ("1", "2"))
        assert first == second
        assert b"\r" not in first


def test_seed_changes_responses_but_not_items(demo: Demo) -> None:
    other = generate(seed=2)

    assert other.items == demo.items
    assert other.train != demo.train
    assert other.dev != demo.dev
    assert other.unlabelled != demo.unlabelled


def test_written_rows_read_back_unchanged(tmp_path: Path) -> None:
    row: DemoRow = {"id": "demo-1", "response": "warm air … über 20 °C\nand wind"}

    paths = write(Demo([{"item_id": "demo"}], [row], [], []), tmp_path)

    assert [path.name for path in paths] == [f"{name}.jsonl" for name in NAMES]
    assert [json.loads(line) for line in paths[1].read_text(encoding="utf-8").splitlines()] == [row]
    assert "über" in paths[1].read_text(encoding="utf-8")


def test_items_are_complete_and_marked_as_synthetic(demo: Demo) -> None:
    assert [item["item_id"] for item in demo.items] == [TOWEL, SNAILS, FERRY]
    assert [item["scale"] for item in demo.items] == ["points", "nominal", "ordinal"]
    for item in demo.items:
        assert re.fullmatch(r"demo-[A-Za-z0-9._-]{1,123}", item["item_id"])
        assert "(synthetic demo)" in item["title"]
        assert {"prompt", "rubric", "references", "subject", "grade"} <= item.keys()
        assert ("max_score" in item) == (item["scale"] == "points")
        assert ("labels" in item) == (item["scale"] != "points")


@pytest.mark.parametrize("item_id", GRAMMARS)
def test_ideas_have_many_wordings_and_slots_are_filled(item_id: str) -> None:
    grammar = GRAMMARS[item_id]
    everything = (*grammar.ideas, *grammar.misconceptions, grammar.vague, grammar.digressions, grammar.refusals)

    assert all(len(idea.phrasings) >= 15 for idea in grammar.ideas)
    for phrasing in [phrasing for part in (*everything, grammar.keywords) for phrasing in part.phrasings]:
        for seed in range(5):
            assert not set("{}|") & set(expand(phrasing, grammar, {}, stream(seed, item_id))), phrasing


@pytest.mark.parametrize("item_id", GRAMMARS)
def test_every_score_is_frequent_enough(demo: Demo, item_id: str) -> None:
    item = GRAMMARS[item_id].item
    allowed = range(item["max_score"] + 1) if item["scale"] == "points" else item["labels"]

    for rows, least in ((rows_of(demo.train, item_id), 40), (rows_of(demo.dev, item_id), 5)):
        counts = Counter(row["score"] if item["scale"] == "points" else row["label"] for row in rows)
        assert set(counts) == set(allowed)
        assert min(counts.values()) >= least
    assert len(rows_of(demo.train, item_id)) + len(rows_of(demo.dev, item_id)) >= 300
    assert len(rows_of(demo.unlabelled, item_id)) >= 200


def test_ids_are_unique(demo: Demo) -> None:
    ids = [row["id"] for rows in (demo.train, demo.dev, demo.unlabelled) for row in rows]

    assert len(set(ids)) == len(ids)


def test_splits_share_no_learners_or_responses(demo: Demo) -> None:
    splits = (demo.train, demo.dev, demo.unlabelled)
    learners = [{row["learner_id"] for row in rows} for rows in splits]
    said = [{(row["item_id"], normalised(str(row["response"]))) for row in rows} for rows in splits]

    for sets in (learners, said):
        assert sum(map(len, sets)) == len(set().union(*sets))


def test_every_learner_answers_every_item_once(demo: Demo) -> None:
    for rows in (demo.train, demo.dev, demo.unlabelled):
        assert set(Counter(row["learner_id"] for row in rows).values()) == {len(GRAMMARS)}
        assert len({(row["learner_id"], row["group_language"]) for row in rows}) * len(GRAMMARS) == len(rows)
        assert {row["group_language"] for row in rows} == set(GROUPS)


def test_two_raters_of_points_sometimes_differ_by_one(demo: Demo) -> None:
    rows = rows_of(demo.train, TOWEL)
    apart = [abs(int(row["score_1"]) - int(row["score_2"])) for row in rows]

    assert all(row["score"] == row["score_1"] for row in rows)
    assert {row["score_2"] for row in rows} == {0, 1, 2, 3}
    assert set(apart) == {0, 1}
    assert sum(apart) / len(rows) == pytest.approx(RATERS_DIFFER, abs=0.03)


def test_labels_have_no_raters_and_unlabelled_rows_no_scores(demo: Demo) -> None:
    common = {"id", "item_id", "response", "learner_id", "group_language"}

    for row in demo.train + demo.dev:
        marks = {"score", "score_1", "score_2"} if row["item_id"] == TOWEL else {"label"}
        assert row.keys() == common | marks
    assert all(row.keys() == common for row in demo.unlabelled)


@pytest.mark.parametrize(
    ("item_id", "stated", "expected"),
    [
        (TOWEL, ["warmth", "wind", "spread"], 3),  # all ideas
        (TOWEL, ["spread", "vague", "warmth"], 2),  # in any order; vague words cost nothing
        (TOWEL, ["vague"], 0),
        (TOWEL, ["keywords"], 0),
        (TOWEL, ["warmth", "wind", "wind_turned_round"], 1),  # contradicted: only that point is lost
        (TOWEL, ["warmth", "spread_turned_round", "wind"], 2),  # the contradicted idea was not stated
        (TOWEL, ["warmth", "wind", "spread", "into_nothing", "dripping"], 3),  # wrong, but about something else
        (FERRY, ["upthrust", "hollow"], "complete"),
        (FERRY, ["hollow", "engine_or_salt"], "partial"),
        (FERRY, ["hollow", "upthrust", "upthrust_turned_round"], "partial"),
        (FERRY, ["hollow", "upthrust", "ferry_weighs_less"], "partial"),  # at most partial
        (FERRY, ["ferry_weighs_less", "vague"], "missing"),
        (SNAILS, ["tenths", "same_places"], "correct"),
        (SNAILS, ["half", "vague"], "correct"),
        (SNAILS, ["half", "longer_is_larger"], "whole-number thinking"),  # a misconception decides
        (SNAILS, ["digits_as_whole_numbers"], "whole-number thinking"),
        (SNAILS, ["shorter_is_larger", "vague"], "shorter-is-larger thinking"),
        (SNAILS, ["vague"], "unclear"),
        (SNAILS, ["keywords"], "unclear"),
    ],
)
def test_scores_follow_the_rubric(item_id: str, stated: list[str], expected: int | str) -> None:
    grammar = GRAMMARS[item_id]

    assert mark(grammar, statements(grammar, *stated)) == expected


@pytest.mark.parametrize("item_id", GRAMMARS)
def test_able_learners_state_more_ideas(item_id: str) -> None:
    grammar, shares = GRAMMARS[item_id], []
    for ability in (0.0, 1.0):
        learner, rng = Learner("demo-learner-0000", "first", ability, 0.05, "tidy", 0.2), stream(3, item_id)
        answers = [answer(grammar, learner, rng) for _ in range(200)]
        shares.append(sum(idea in given.stated for given in answers for idea in grammar.ideas))

    assert shares[1] > 2 * shares[0]


def test_responses_have_the_length_of_short_answers(demo: Demo) -> None:
    lengths = [len(str(row["response"]).split()) for row in demo.train + demo.dev + demo.unlabelled]

    assert max(lengths) < WORDS.stop
    assert sum(length not in WORDS for length in lengths) < 0.06 * len(lengths)  # "idk" and bare keywords
    assert min(lengths) == 1


def test_group_changes_spelling_but_not_scores(demo: Demo) -> None:
    means = {}
    for group in GROUPS:
        scores = [int(row["score"]) for row in rows_of(demo.train, TOWEL) if row["group_language"] == group]
        means[group] = sum(scores) / len(scores)

    assert GROUPS["additional"] > GROUPS["first"]
    assert means["additional"] == pytest.approx(means["first"], abs=0.35)
