"""Which generated texts a learner may see: none that is empty, repeats the response, or speaks against the score."""

from collections.abc import Sequence
from typing import Literal

from app.scoring.decoding import distribution
from app.scoring.item import Item
from app.scoring.network import Network
from app.scoring.words import words

Objection = Literal["empty", "repeats_response", "contradicts_score"]
LOWEST, BETWEEN, HIGHEST = "lowest", "between", "highest"
REPEATED_WORDS = 8  # words in a row that count as repeated; letters where a script puts no space between words
REPEATED = 0.5  # share of a text's words in such runs from which it only repeats the response


def verdict(item: Item, value: float) -> str:
    """Return the verdict of a score: the label of a nominal item; on ordered scales the lowest (the worst), the highest
    (the best), or between.
    """
    if not item.is_ordered:
        return str(item.label(value))
    near = item.tolerance / 2 + 1e-9 * item.span  # the second against rounding at the very line
    if item.is_worst(value, near):
        return LOWEST
    return HIGHEST if item.is_best(value, near) else BETWEEN


def verdicts(item: Item, value: float) -> set[str]:
    """What may be said of it: of a grade near the line between two verdicts either."""
    return {verdict(item, value + step) for step in (-item.tolerance / 2, 0, item.tolerance / 2)}


class FeedbackScreen:
    """Reads generated texts as a learner would.

    Whether a text speaks for its score is judged by a tiny student that has learnt to read the verdict from human
    feedback, in whatever language that was written.
    """

    def __init__(self, reader: Network, verdicts: Item, threshold: float) -> None:
        self._reader, self._verdicts, self._threshold = reader, verdicts, threshold

    def objection(self, text: str, response: str, item: Item, value: float) -> Objection | None:
        """Why a learner may not see the text, if so."""
        if not words(text):
            return "empty"
        if repeated(text, response) >= REPEATED:
            return "repeats_response"
        [agreeing] = self.agreement([text], [verdicts(item, value)])
        return None if agreeing >= self._threshold else "contradicts_score"  # what cannot be read agrees with nothing

    def agreement(self, texts: Sequence[str], wanted: Sequence[set[str]]) -> list[float]:
        """The probability, for each text, that it was written under one of its verdicts; of a text too long to be read
        at once that of the part that agrees least.
        """
        columns = [[label in own for label in self._verdicts.labels or ()] for own in wanted]
        return [
            min(float(row[own].sum()) for row in distribution(self._reader.outputs(self._parts(text)), self._verdicts))
            for text, own in zip(texts, columns, strict=True)
        ]

    def _parts(self, text: str) -> list[str]:
        """The text, halved until the reader sees all of each part."""
        featurizer, words = self._reader.featurizer, text.split()
        if len(featurizer.ids([text])[0]) < featurizer.max_tokens or len(words) < 2:
            return [text]
        half = len(words) // 2
        return [*self._parts(" ".join(words[:half])), *self._parts(" ".join(words[half:]))]


def repeated(text: str, response: str) -> float:
    """Return the share of the text's words inside runs of REPEATED_WORDS or more words that the response also has.

    In a script without spaces each letter is a word.
    """
    written, answered = words(text), words(response)
    runs = {tuple(answered[start : start + REPEATED_WORDS]) for start in range(len(answered) - REPEATED_WORDS + 1)}
    inside: set[int] = set()
    for start in range(len(written) - REPEATED_WORDS + 1):
        if tuple(written[start : start + REPEATED_WORDS]) in runs:
            inside.update(range(start, start + REPEATED_WORDS))
    return len(inside) / len(written) if written else 0.0
