"""Feedback that no language model wrote, and that one must beat: the commonest, and that of the nearest response."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from training.feedback.data import MarkedFeedback


def commonest(known: Sequence[MarkedFeedback], rows: Sequence[MarkedFeedback]) -> list[str]:
    """For each row what raters said most often under its item and score, or the item's score that is nearest to it."""
    return [Counter(told.feedback for told in _nearest_score(known, row)).most_common(1)[0][0] for row in rows]


def nearest(known: Sequence[MarkedFeedback], rows: Sequence[MarkedFeedback]) -> list[str]:
    """For each row what was said of the response most like it (cosine of TF-IDF) that has its score, or the nearest."""
    found = []
    for row in rows:
        candidates = _nearest_score(known, row)
        texts = [told.marked.text for told in candidates]
        weights = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
        likeness = weights.fit_transform(texts) @ weights.transform([row.marked.text]).T
        found.append(candidates[int(np.argmax(likeness.toarray()))].feedback)
    return found


def _nearest_score(known: Sequence[MarkedFeedback], row: MarkedFeedback) -> list[MarkedFeedback]:
    """Of the row's item where it is known, else of all."""
    of_item = [told for told in known if told.item.item_id == row.item.item_id] or list(known)
    least = min(abs(told.marked.value - row.marked.value) for told in of_item)
    return [told for told in of_item if abs(told.marked.value - row.marked.value) == least]
