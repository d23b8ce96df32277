"""Baselines of feedback, without a language model: the commonest, and the nearest response's."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from training.feedback.data import MarkedFeedback


def commonest(known: Sequence[MarkedFeedback], rows: Sequence[MarkedFeedback]) -> list[str]:
    """Return for each row the commonest feedback of its item and score, or of the item's nearest score."""
    return [_commonest(_nearest_score(known, row)) for row in rows]


def _commonest(rows: Sequence[MarkedFeedback]) -> str:
    [(feedback, _)] = Counter(row.feedback for row in rows).most_common(1)
    return feedback


def nearest(known: Sequence[MarkedFeedback], rows: Sequence[MarkedFeedback]) -> list[str]:
    """Return for each row the feedback on the most similar response with its score, or with the nearest score.

    Similarity is the cosine of TF-IDF features of characters.
    """
    return [_most_similar(_nearest_score(known, row), row).feedback for row in rows]


def _most_similar(candidates: Sequence[MarkedFeedback], row: MarkedFeedback) -> MarkedFeedback:
    features = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    known = features.fit_transform([candidate.marked.text for candidate in candidates])
    similarity = known @ features.transform([row.marked.text]).T
    return candidates[int(np.argmax(similarity.toarray()))]


def _nearest_score(known: Sequence[MarkedFeedback], row: MarkedFeedback) -> list[MarkedFeedback]:
    """Return the rows with the score nearest to the row's: of its item, or of all items if its item is unknown."""
    of_item = [other for other in known if other.item.item_id == row.item.item_id] or list(known)
    distances = [abs(other.marked.value - row.marked.value) for other in of_item]
    least = min(distances)
    return [other for other, distance in zip(of_item, distances, strict=True) if distance == least]
