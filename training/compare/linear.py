"""Linear models of TF-IDF features (scikit-learn), the baseline for networks."""

import pickle
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2, f_regression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline, make_union

from app.scoring.decoding import Outputs, output_columns
from app.scoring.item import Item

FEW = 100  # with fewer responses, features of a single response are kept
TINY = 1e-6  # the least probability, so that its logarithm is finite


def tf_idf(item: Item, responses: int, budget: int | None = None, *, lenient: bool = False) -> Pipeline:
    """Return an unfitted pipeline: TF-IDF features, then logistic regression, or ridge regression of grades.

    Features are words, pairs of words, and runs of 2 to 5 characters within words.  A budget keeps only the features
    with the highest χ², or F of the regression, so that coefficients and document frequencies together are within the
    budget.  `lenient`: words are all that spaces separate.
    """
    min_df = 1 if responses < FEW or lenient else 2
    pattern = r"\S+" if lenient else r"(?u)\b\w\w+\b"
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=min_df, sublinear_tf=True, token_pattern=pattern)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=min_df, sublinear_tf=True)
    steps: list[Any] = [make_union(words, characters)]
    if budget is not None:
        weights = 1 if item.is_continuous else item.choices  # of one feature
        most = (budget - weights) // (weights + 1)
        criterion = f_regression if item.is_continuous else chi2
        steps.append(SelectKBest(criterion, k=most))
    model = Ridge(alpha=1.0) if item.is_continuous else LogisticRegression(C=10, max_iter=2000)
    steps.append(model)
    return make_pipeline(*steps)


class Linear:
    """A pipeline fitted to responses, with outputs like a student's; constant if all training scores are the same."""

    def __init__(self, item: Item, texts: Sequence[str], target: NDArray[np.float64], budget: int | None) -> None:
        self._item = item
        self._constant = float(target[0]) if len(np.unique(target)) == 1 else None
        self._variance = 1.0
        self._pipeline = tf_idf(item, len(texts), budget)
        if self._constant is None:
            values = target if item.is_continuous else target.astype(int)
            self._fit(list(texts), values, budget)

    def _fit(self, texts: list[str], target: NDArray[Any], budget: int | None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.filterwarnings("ignore", "k=")  # fewer features than the budget allows
            warnings.filterwarnings("ignore", "invalid value|divide by zero", RuntimeWarning)  # constant features
            try:
                self._pipeline.fit(texts, target)
            except ValueError:  # no words of two letters, or none in two responses
                self._pipeline = tf_idf(self._item, len(texts), budget, lenient=True)
                self._pipeline.fit(texts, target)

    def outputs(self, texts: Sequence[str]) -> Outputs:
        """Return (texts, columns): log probabilities, or grades with the same variance for all."""
        if self._item.is_continuous:
            mean = np.full(len(texts), self._constant or 0.0)
            if self._constant is None and texts:
                mean = self._pipeline.predict(list(texts))
            return np.stack([mean, np.full(len(texts), self._variance)], axis=1)
        probabilities = np.full((len(texts), output_columns(self._item)), TINY)
        if self._constant is not None:
            probabilities[:, int(self._constant)] = 1
        elif texts:
            probabilities[:, self._pipeline.classes_] += self._pipeline.predict_proba(list(texts))
        return np.asarray(np.log(probabilities))

    @property
    def parameters(self) -> int:
        """The number of coefficients, intercepts, and document frequencies of used features."""
        if self._constant is not None:
            return 1
        model = self._pipeline[-1]
        return int(model.coef_.size + np.size(model.intercept_) + model.n_features_in_)

    @property
    def bytes(self) -> int:
        """The size of the pickled pipeline."""
        return len(pickle.dumps(self._pipeline))
