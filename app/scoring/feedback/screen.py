"""Withhold generated texts that are empty, repeat the response, or contradict the score."""

from collections.abc import Iterator, Sequence
from typing import Literal

from app.scoring.decoding import distribution
from app.scoring.item import Item
from app.scoring.network import Network
from app.scoring.words import words

Objection = Literal["empty", "repeats_response", "contradicts_score"]
LOWEST, BETWEEN, HIGHEST = "lowest", "between", "highest"
REPEATED_WORDS = 8  # Consecutive words that count as repeated.  In a script without spaces each letter is a word.
REPEATED = 0.5  # Share of repeated words from which a text repeats the response.


def verdict(item: Item, value: float) -> str:
    """Return the verdict of a score.

    For nominal items it is the label.  On ordered scales it is LOWEST for the worst score, HIGHEST for the best, and
    BETWEEN for all others.
    """
    if not item.is_ordered:
        return str(item.label(value))
    near = item.tolerance / 2 + 1e-9 * item.span  # The second term absorbs rounding at the border of two verdicts.
    if item.is_worst(value, near):
        return LOWEST
    return HIGHEST if item.is_best(value, near) else BETWEEN


def verdicts(item: Item, value: float) -> set[str]:
    """Return the verdicts that a text may express: for a grade near the border of two verdicts, both."""
    return {verdict(item, value + step) for step in (-item.tolerance / 2, 0, item.tolerance / 2)}


class FeedbackScreen:
    """Screens generated texts before learners see them.

    The verdict reader, a tiny student, judges whether a text agrees with its score.  It has learnt verdicts from human
    feedback, in the language of that feedback.
    """

    def __init__(self, reader: Network, verdicts: Item, threshold: float) -> None:
        self._reader, self._verdicts, self._threshold = reader, verdicts, threshold

    def objection(self, text: str, response: str, item: Item, value: float) -> Objection | None:
        """Return the reason to withhold a text; None if learners may see it.

        Args:
            text: the generated text.
            response: the response that the text is about.
            item: the item of the response.
            value: the value of the response's score.
        """
        if not words(text):
            return "empty"
        if repeated(text, response) >= REPEATED:
            return "repeats_response"
        [probability] = self.agreement([text], [verdicts(item, value)])
        # NaN, the probability of a text that the reader cannot read, is not enough.
        return None if probability >= self._threshold else "contradicts_score"

    def agreement(self, texts: Sequence[str], expected: Sequence[set[str]]) -> list[float]:
        """Return for each text the probability that it expresses one of the expected verdicts.

        A text longer than the reader's input is read in parts; the part with the lowest probability counts.
        """
        pairs = zip(texts, expected, strict=True)
        return [self._probability(text, verdicts) for text, verdicts in pairs]

    def _probability(self, text: str, expected: set[str]) -> float:
        columns = [label in expected for label in self._verdicts.labels or ()]
        probabilities = distribution(self._reader.outputs(self._parts(text)), self._verdicts)
        agreeing = probabilities[:, columns].sum(axis=1)  # one for each part
        return float(agreeing.min())

    def _parts(self, text: str) -> list[str]:
        """Return the text in parts that the reader reads whole, found by halving."""
        featurizer, words = self._reader.featurizer, text.split()
        [ids] = featurizer.read([text])
        if len(ids) < featurizer.max_tokens or len(words) < 2:
            return [text]
        half = len(words) // 2
        first, second = " ".join(words[:half]), " ".join(words[half:])
        return [*self._parts(first), *self._parts(second)]


def repeated(text: str, response: str) -> float:
    """Return the share of the text's words inside runs of REPEATED_WORDS or more words that the response also has.

    In a script without spaces each letter is a word.
    """
    written = words(text)
    response_runs = set(_runs(words(response)))
    inside: set[int] = set()
    for start, run in enumerate(_runs(written)):
        if run in response_runs:
            inside.update(range(start, start + REPEATED_WORDS))
    return len(inside) / len(written) if written else 0.0


def _runs(sequence: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield every run of REPEATED_WORDS consecutive words."""
    for end in range(REPEATED_WORDS, len(sequence) + 1):
        yield tuple(sequence[end - REPEATED_WORDS : end])
