"""Write the data of a one-word item: the capital of France, as learners spell it.

    python -m benchmarks.one_word DIR
    scorelet-train run --data DIR --models MODELS

Right answers are forms of Paris, and wrong answers are other capitals.  One answer in six is misspelt.
"""

import json
import random
from pathlib import Path
from typing import Annotated

import typer

ITEM = {"item_id": "capital-1", "prompt": "What is the capital of France?", "scale": "points", "max_score": 1}
RIGHT = ("Paris", "paris", "PARIS", "Paris.", "It is Paris", "the capital is Paris")
WRONG = ("London", "Rome", "Berlin", "Madrid", "Lyon", "london", "rome", "berlin")
REFUSED = ("idk", "I don't know", "")
SHARES = (0.52, 0.44, 0.04)  # of right, wrong and refused answers
MISSPELT = 1 / 6
SIZES = {"train": 150, "dev": 150}


def answers(count: int, seed: int) -> list[tuple[str, int]]:
    """Return `count` answers with their scores, drawn by a seed."""
    generator = random.Random(seed)  # noqa: S311
    drawn = []
    for _ in range(count):
        kind = generator.choices((RIGHT, WRONG, REFUSED), SHARES)[0]
        text = generator.choice(kind)
        if kind is not REFUSED and generator.random() < MISSPELT:
            text = _misspelt(text, generator)
        drawn.append((text, int(kind is RIGHT)))
    return drawn


def _misspelt(text: str, generator: random.Random) -> str:
    """Return the text with two neighbouring letters of its last word swapped, or a letter dropped or doubled."""
    place = generator.randrange(len(text) - 4, len(text) - 1)
    first, second = text[place], text[place + 1]
    misspelt = generator.choice((second + first, second, first + first + second))
    return text[:place] + misspelt + text[place + 2 :]


def write(folder: Path) -> None:
    """Write items, train and dev as .jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "items.jsonl").write_text(json.dumps(ITEM) + "\n", encoding="utf-8")
    for seed, (name, count) in enumerate(SIZES.items()):
        rows = [
            {"item_id": ITEM["item_id"], "response": text, "score": score, "learner_id": f"{name}-{number}"}
            for number, (text, score) in enumerate(answers(count, seed))
        ]
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def main(out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the data.", file_okay=False)]) -> None:
    """Write the data of the one-word item."""
    write(out)


if __name__ == "__main__":
    typer.run(main)
