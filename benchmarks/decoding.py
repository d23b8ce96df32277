"""Compare ways of turning probabilities into scores by their agreement with raters, on a user's own data.

    python -m benchmarks.decoding --data DIR --out results.json

For each item on an ordered scale, five folds of TF-IDF and logistic regression inside train give every row held-out
probabilities.  Four rules decode them: the most probable score; the rounded expected score; equipercentile linking
(Kolen & Brennan 2014, ch. 2), which gives each score as often as raters do; and the cuts of a bundle, for the highest
expected QWK.  The last two place their cuts on 200 rows, with a temperature chosen on the same rows.  The figure is the
QWK on the other rows, averaged over ten draws.
"""

import json
import statistics
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.model_selection import cross_val_predict

from app.scoring.agreement import quadratic_weighted_kappa
from app.scoring.bundle import Head
from app.scoring.decoding import decode, expected_choice, softmax
from app.scoring.item import Item
from training.calibration.confidence import choose_temperature
from training.calibration.cuts_and_target import choose_cuts
from training.compare.linear import TINY, tf_idf
from training.data import ItemData, read_data

FOLDS, DRAWS = 5, 10
PLACING = 200  # rows that cuts are placed on
RULES = ("most_probable", "rounded", "linked", "cuts")
Floats = NDArray[np.float64]
Scores = NDArray[np.int64]


def rounded(expected: Floats) -> Scores:
    """Return expected scores rounded half up."""
    return np.floor(expected + 0.5).astype(np.int64)


def linked(expected: Floats, placing: Floats, shares: Floats) -> Scores:
    """Return scores by equipercentile linking.

    `shares` are the shares of responses that raters gave at most 0, 1, …; `placing` are the expected scores that place
    the cuts.
    """
    cuts = np.quantile(placing, shares)
    return np.searchsorted(cuts, expected, side="right")


def held_out_probabilities(data: ItemData, human: Scores) -> Floats:
    """Return probabilities (rows, scores) from models that were not fitted on the row."""
    texts = [row.text for row in data.train]
    # A score that no rater gave stays at TINY, because the models do not know it.
    probabilities = np.full((len(texts), data.item.choices), TINY)
    pipeline = tf_idf(data.item, len(texts))
    fitted = cross_val_predict(pipeline, texts, human, cv=FOLDS, method="predict_proba")
    probabilities[:, np.unique(human)] = fitted
    return probabilities


def mean_qwk(data: ItemData) -> dict[str, float]:
    """Return the mean QWK of each rule on an item."""
    human = np.array([row.value for row in data.train]).astype(np.int64)
    probabilities = held_out_probabilities(data, human)
    of_draws: dict[str, list[float]] = {rule: [] for rule in RULES}
    for draw in range(DRAWS):
        placing = np.random.default_rng(draw).permutation(len(human)) < PLACING
        scores = decode_by_all_rules(data.item, human, probabilities, placing)
        for rule in RULES:
            qwk = quadratic_weighted_kappa(human[~placing], scores[rule][~placing])
            of_draws[rule].append(qwk)
    return {rule: round(statistics.fmean(of_draws[rule]), 3) for rule in RULES}


def decode_by_all_rules(
    item: Item, human: Scores, probabilities: Floats, placing: NDArray[np.bool_]
) -> dict[str, Scores]:
    """Return the scores of all rows by each rule; `placing` marks the rows that cuts are placed on."""
    logits = np.log(probabilities)
    logits /= choose_temperature(human[placing], logits[placing])
    expected = expected_choice(softmax(logits))
    counts = np.bincount(human, minlength=probabilities.shape[1])
    shares = np.cumsum(counts)[:-1] / len(human)
    chosen_on = [human[placing].tolist()]
    [cuts] = choose_cuts(item, chosen_on, chosen_on, [logits[placing]])
    return {
        "most_probable": probabilities.argmax(axis=1),
        "rounded": rounded(expected),
        "linked": linked(expected, expected[placing], shares),
        "cuts": np.array([score.value for score in decode(logits, item, Head(cuts=cuts))]),
    }


def main(data: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    folder = read_data(data)
    ordered = [folder.of(item.item_id) for item in folder.items.values() if item.is_ordered and item.choices]
    results = {item.item.item_id: mean_qwk(item) for item in ordered if len(item.train) > PLACING}
    means = {rule: round(statistics.fmean(item[rule] for item in results.values()), 3) for rule in RULES}
    content = json.dumps({"items": results, "mean_qwk": means}, indent=1)
    out.write_text(content + "\n", encoding="utf-8")
    print(content)


if __name__ == "__main__":
    typer.run(main)
