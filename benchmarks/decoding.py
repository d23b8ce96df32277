"""Which way of making a score from probabilities agrees best with raters, on a user's own data.

    python -m benchmarks.decoding --data DIR --out results.json

For each item on an ordered scale, inside train: five folds of TF-IDF + logistic regression give every row probabilities
from a model that has not seen it.  Rows are decoded by the most probable score, by the rounded expected score, by
equipercentile linking (Kolen & Brennan 2014, ch. 2), which gives each score as often as raters do, and by cuts for the
highest expected QWK, as bundles have them.  Both place cuts on 200 of the rows, whose own scores are then left out, by
probabilities with a temperature chosen on the same rows.  QWK on the other rows, mean of ten such draws.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.model_selection import cross_val_predict

from app.scoring.agreement import quadratic_weighted_kappa
from app.scoring.bundle import Head
from app.scoring.decoding import decode, expected_choice, softmax
from training.calibration.confidence import choose_temperature
from training.calibration.cuts_and_target import choose_cuts
from training.compare.linear import TINY, tf_idf
from training.data import ItemData, read_data

FOLDS, PLACING, DRAWS = 5, 200, 10


def rounded(expected: NDArray[np.float64]) -> NDArray[np.int64]:
    """Half up."""
    return np.asarray(np.floor(expected + 0.5), np.int64)


def linked(expected: NDArray[np.float64], placing: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[Any]:
    """`shares` of responses that raters gave at most 0, 1, …; `placing`: expected scores that place the cuts."""
    return np.searchsorted(np.quantile(placing, shares), expected, side="right")


def of_item(data: ItemData) -> dict[str, float]:
    human = np.array([row.value for row in data.train])
    texts = [row.text for row in data.train]
    raw = np.full((len(human), data.item.choices), TINY)  # of scores that nobody gave the model says nothing
    pipeline = tf_idf(data.item, len(texts))
    raw[:, np.unique(human).astype(int)] = cross_val_predict(pipeline, texts, human, cv=FOLDS, method="predict_proba")
    shares = np.cumsum(np.bincount(human.astype(int), minlength=data.item.choices))[:-1] / len(human)
    found: dict[str, list[float]] = {}
    for draw in range(DRAWS):
        placing = np.random.default_rng(draw).permutation(len(human)) < PLACING
        logits = np.log(raw)
        logits /= choose_temperature(human[placing], logits[placing])
        expected = expected_choice(softmax(logits))
        chosen_on = [human[placing].tolist()]
        [cuts] = choose_cuts(data.item, chosen_on, chosen_on, [logits[placing]])
        ways = {
            "most_probable": raw.argmax(axis=1),
            "rounded": rounded(expected),
            "linked": linked(expected, expected[placing], shares),
            "cuts": np.array([score.value for score in decode(logits, data.item, Head(cuts=cuts))]),
        }
        for way, machine in ways.items():
            found.setdefault(way, []).append(quadratic_weighted_kappa(human[~placing], machine[~placing]))
    return {way: round(float(np.mean(of_draws)), 3) for way, of_draws in found.items()}


def main(data: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    read = read_data(data)
    ordered = [read.of(item.item_id) for item in read.items.values() if item.is_ordered and item.choices]
    results = {own.item.item_id: of_item(own) for own in ordered if len(own.train) > PLACING}
    mean = {way: round(float(np.mean([of[way] for of in results.values()])), 3) for way in next(iter(results.values()))}
    out.write_text(json.dumps({"items": results, "mean_qwk": mean}, indent=1) + "\n", encoding="utf-8")
    print(out.read_text())


if __name__ == "__main__":
    typer.run(main)
