"""Example rows that a model learns in seconds: the score counts the ideas, of three, that a response names."""

import random
from dataclasses import replace

from app.scoring.item import Item
from training.data import ItemData
from training.data.responses import MarkedResponse, UnlabelledResponse

ITEM = Item(item_id="heat-1", prompt="Why does heat rise?", scale="points", max_score=3)
GRADES = Item(item_id="shade-6", prompt="How warm is it?", scale="continuous", min_score=1, max_score=6)
LABELS = Item(item_id="belief-3", prompt="Is it air?", scale="nominal", labels=("none", "one", "two", "three"))
IDEAS = ("the air gets warm", "it becomes lighter", "cold air takes its place")
FILLERS = ("because", "i think", "so then", "as we saw", "in the room", "every time")


def text_for(points: int, generator: random.Random) -> str:
    words = [*generator.sample(IDEAS, points), *generator.sample(FILLERS, 2)]
    generator.shuffle(words)
    return " ".join(words)


def value_for(item: Item, points: int, generator: random.Random) -> float:
    """Return the points, or a grade near 1, 2.67, 4.33 or 6 with some noise of raters."""
    if not item.is_continuous:
        return points
    bottom, top = float(item.bottom_score or 0), float(item.top_score or 0)
    return min(top, max(bottom, round(bottom + item.span * points / 3 + generator.uniform(-0.2, 0.2), 2)))


def marked(rows: int, seed: int = 0, item: Item = ITEM) -> tuple[MarkedResponse, ...]:
    generator = random.Random(seed)  # noqa: S311  # no secret
    made = []
    for number in range(rows):
        points = number % 4
        text = f"{text_for(points, generator)} {generator.randint(0, 99)}"
        value = value_for(item, points, generator)
        raters = None if item.labels else (value, value)
        made.append(MarkedResponse(f"r{seed}-{number}", item.item_id, text, value, raters, None, ()))
    return tuple(made)


def item_data(train: int = 120, dev: int = 40, unlabelled: int = 20, item: Item = ITEM, seed: int = 0) -> ItemData:
    more = (UnlabelledResponse(row.id, row.item_id, row.text, None) for row in marked(unlabelled, seed + 2, item))
    return ItemData(item, marked(train, seed, item), marked(dev, seed + 1, item), tuple(more))


def some_items(item: Item = ITEM) -> list[ItemData]:
    """Return three items of one scale with forty marked responses each; the last has no dev rows."""
    asked = [
        item.model_copy(update={"item_id": f"few-{number}", "prompt": prompt, "references": (reference,)})
        for number, (prompt, reference) in enumerate(
            [("Why does heat rise?", IDEAS[0]), ("Why does air move?", IDEAS[1]), ("Why is it cold?", IDEAS[2])]
        )
    ]
    return [
        item_data(40, 12 if number < 2 else 0, 6, item_of_number, 10 * number)
        for number, item_of_number in enumerate(asked)
    ]


def other_dev(data: ItemData) -> ItemData:
    """Return the item with other dev rows: other words, other scores, another number."""
    words = ["zebra", "quartz", "jovial", "vexing", "sphinx"]
    other = [
        replace(row, text=" ".join(words[number % 5 :] * 3) + f" {number}", value=data.dev[-1 - number].value)
        for number, row in enumerate(data.dev[::2])
    ]
    return replace(data, dev=tuple(other))
