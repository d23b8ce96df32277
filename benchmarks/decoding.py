"""Which way of making a score from probabilities agrees best with raters, on a user's own data.

    python -m benchmarks.decoding --data DIR --out results.json

For each item on an ordered scale, inside train: five folds of TF-IDF + logistic regression give every row probabilities
from a model that has not seen it.  Rows are decoded by the most probable score, by the rounded expected score, and by
equipercentile linking with cuts placed on 200 of the rows, whose own scores are then left out.  QWK on the same rows.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.model_selection import cross_val_predict

from app.scoring.agreement import quadratic_weighted_kappa
from app.scoring.bundle import Head
from app.scoring.decoding import decode, expected_choice
from app.scoring.item import Item
from training.compare.baselines import tf_idf
from training.datasets import ItemData, read_data
from training.selection import choose_cuts

FOLDS, PLACING = 5, 200


def rounded(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """The expected score, rounded half up."""
    return np.asarray(np.floor(expected_choice(probabilities) + 0.5), np.int64)


def linked(probabilities: NDArray[np.float64], item: Item, head: Head) -> NDArray[np.int64]:
    """By the head's cuts, as a bundle does it."""
    return np.array([score.value for score in decode(np.log(probabilities), item, head)])


def of_item(data: ItemData) -> dict[str, float]:
    human = np.array([row.value for row in data.train])
    texts = [row.text for row in data.train]
    probabilities = cross_val_predict(tf_idf(data.item, len(texts)), texts, human, cv=FOLDS, method="predict_proba")
    placing = np.random.default_rng(0).permutation(len(human)) < PLACING
    head = Head(cuts=choose_cuts(data.item, human[placing].tolist(), np.log(probabilities[placing])))
    ways = {
        "most_probable": probabilities[~placing].argmax(axis=1),
        "rounded": rounded(probabilities[~placing]),
        "linked": linked(probabilities[~placing], data.item, head),
    }
    return {way: round(quadratic_weighted_kappa(human[~placing], machine), 3) for way, machine in ways.items()}


def main(data: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    read = read_data(data)
    results = {
        item.item_id: of_item(read.of(item.item_id)) for item in read.items.values() if item.is_ordered and item.choices
    }
    mean = {way: round(float(np.mean([of[way] for of in results.values()])), 3) for way in next(iter(results.values()))}
    out.write_text(json.dumps({"items": results, "mean_qwk": mean}, indent=1) + "\n", encoding="utf-8")
    print(out.read_text())


if __name__ == "__main__":
    typer.run(main)
