"""Small data that a model can learn in seconds: the score is how many of three ideas a response names."""

import random

from app.scoring.item import Item
from training.datasets import ItemData
from training.datasets.responses import MarkedResponse, UnlabelledResponse

ITEM = Item(item_id="heat-1", prompt="Why does heat rise?", scale="points", max_score=3)
IDEAS = ("the air gets warm", "it becomes lighter", "cold air takes its place")
FILLERS = ("because", "i think", "so then", "as we saw", "in the room", "every time")


def text_for(points: int, generator: random.Random) -> str:
    words = [*generator.sample(IDEAS, points), *generator.sample(FILLERS, 2)]
    generator.shuffle(words)
    return " ".join(words)


def marked(rows: int, seed: int = 0) -> tuple[MarkedResponse, ...]:
    generator = random.Random(seed)  # noqa: S311  # no secret
    made = []
    for number in range(rows):
        points = number % 4
        text = f"{text_for(points, generator)} {generator.randint(0, 99)}"
        made.append(MarkedResponse(f"r{seed}-{number}", ITEM.item_id, text, points, (points, points), None, ()))
    return tuple(made)


def item_data(train: int = 120, dev: int = 40, unlabelled: int = 20) -> ItemData:
    more = tuple(UnlabelledResponse(row.id, row.item_id, row.text, None) for row in marked(unlabelled, seed=2))
    return ItemData(ITEM, marked(train, seed=0), marked(dev, seed=1), more)
