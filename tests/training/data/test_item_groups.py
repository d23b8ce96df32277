from dataclasses import replace

import pytest

from app.scoring.item import Item
from tests.training.example_rows import GRADES, ITEM, item_data, marked, some_items
from training.data import ItemData
from training.data.item_groups import Group, groups
from training.data.targets import targets


def an_item(item_id: str, **scale: object) -> Item:
    return Item.model_validate({"item_id": item_id, "prompt": "Why?"} | scale)


def of(item: Item, rows: int) -> ItemData:
    return ItemData(item, marked(rows, item=item), (), ())


def ids(item_groups: list[Group]) -> list[list[str]]:
    return [[data.item.item_id for data in group.members] for group in item_groups]


def test_items_with_few_responses_share_a_teacher() -> None:
    items = [of(an_item(f"heat-{rows}", scale="points", max_score=3), rows) for rows in (10, 40, 20, 39, 41)]

    assert ids(groups(items, own_from=40)) == [["heat-10", "heat-20", "heat-39"], ["heat-40"], ["heat-41"]]


@pytest.mark.parametrize("own_from", [0, 1])
def test_sharing_can_be_switched_off(own_from: int) -> None:
    assert ids(groups(some_items(), own_from)) == [["few-0"], ["few-1"], ["few-2"]]


def test_only_items_of_one_scale_share_a_teacher() -> None:
    scales: dict[str, dict[str, object]] = {
        "three": {"scale": "points", "max_score": 3},
        "labels": {"scale": "nominal", "labels": ["a", "b", "c", "d"]},
        "ranks": {"scale": "ordinal", "labels": ["a", "b", "c", "d"]},
        "others": {"scale": "nominal", "labels": ["a", "b", "c", "e"]},
        "four": {"scale": "points", "max_score": 4},
        "grades": {"scale": "continuous", "min_score": 0, "max_score": 3},
        "three-too": {"scale": "points", "max_score": 3},
        "three-from-one": {"scale": "points", "min_score": 1, "max_score": 4},
        "upside-down": {"scale": "points", "max_score": 3, "better": "lower"},
        "labels-too": {"scale": "nominal", "labels": ["a", "b", "c", "d"]},
        "other-grades": {"scale": "continuous", "min_score": 1, "max_score": 6},  # a share of either is a share
    }
    items = [ItemData(an_item(name, **scale), (), (), ()) for name, scale in scales.items()]

    assert ids(groups(items, own_from=40)) == [
        ["three", "three-too", "three-from-one"],
        ["labels", "labels-too"],
        ["ranks"],
        ["others"],
        ["four"],
        ["grades", "other-grades"],
        ["upside-down"],
    ]


def test_every_item_is_in_one_group_in_the_items_order() -> None:
    items = [*some_items(), item_data(train=60, item=ITEM), *some_items(GRADES)]

    item_groups = groups(items, own_from=50)

    assert [data for group in item_groups for data in group.members] == items


def test_a_shared_teacher_reads_question_and_references_before_a_response() -> None:
    [group] = groups(some_items(), own_from=300)
    data = group.members[1]

    first = group.examples(data.item, data.train)[0]

    assert first.context == "Why does air move? it becomes lighter"
    assert (first.text, first.target) == (data.train[0].text, data.train[0].value)


def test_a_teacher_of_one_item_reads_responses_only() -> None:
    [data, *_] = some_items()

    for own_from in (1, 300):  # also where it stands alone for want of others
        [group] = groups([data], own_from)
        assert group.context(data.item) == ""
        assert {example.context for example in group.examples(data.item, data.train)} == {""}


def test_examples_of_grades_are_shares_of_their_own_items_scale() -> None:
    narrow = GRADES.model_copy(update={"item_id": "narrow", "min_score": 0, "max_score": 1})
    [group] = groups([of(GRADES, 8), of(narrow, 8)], own_from=300)

    for data in group.members:
        shares = [example.target for example in group.examples(data.item, data.train)]
        assert shares == targets(data.item, [row.value for row in data.train]).tolist()
        assert 0 <= min(shares) < max(shares) <= 1


def test_the_hash_of_shared_data_follows_every_members_rows() -> None:
    items = some_items()
    [group] = groups(items, own_from=300)
    hashes = [group.data_sha256(data) for data in items]

    other = replace(items[2], train=(replace(items[2].train[0], value=2), *items[2].train[1:]))
    [changed] = groups([*items[:2], other], own_from=300)
    [fewer] = groups(items[:2], own_from=300)

    assert len(set(hashes)) == 3
    assert not set(hashes) & {changed.data_sha256(data) for data in changed.members}
    assert not set(hashes) & {fewer.data_sha256(data) for data in fewer.members}


def test_the_hash_of_an_item_alone_is_its_own() -> None:
    first, second, _ = groups(some_items(), own_from=1)

    assert first.data_sha256(first.members[0]) == first.members[0].sha256
    assert second.data_sha256(second.members[0]) == second.members[0].sha256


def test_group_is_named_after_its_items() -> None:
    assert [group.name for group in groups(some_items(), own_from=300)] == ["few-0 and 2 more"]
    assert [group.name for group in groups(some_items()[:1], own_from=300)] == ["few-0"]
