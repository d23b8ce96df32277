"""Limits of conditions and flags, learnt from an item's responses so that few real responses lie beyond them."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.scoring.conditions import (
    Limits,
    Pieces,
    SeenPairs,
    copied,
    disorder,
    neighbours,
    normalised,
    packed,
    pieces_per_character,
    prompt_runs,
    read_pieces,
    repetition,
    surprise,
    without_signs,
)
from app.scoring.featurizer import Featurizer
from app.scoring.item import Item
from training.data.responses import MarkedResponse
from training.data.splits import Parts

# Share of real responses that may lie beyond each limit.  Together the shares stay below two in a hundred.
OFF_TOPIC, DISORDERED, UNREADABLE, COPIED, REPEATED = 0.005, 0.003, 0.002, 0.002, 0.002
LEAST_COPIED, LEAST_REPEATED = 0.5, 0.5  # limits are never lower, however rare such responses are
FOLDS = 5
REFUSALS = (
    "idk", "i dont know", "dont know", "i do not know", "no idea", "i have no idea", "not sure", "im not sure", "none",
    "nothing", "no answer", "no response", "na", "n a", "weiß nicht", "ich weiß nicht", "ich weiss nicht",
    "keine ahnung", "je ne sais pas", "aucune idée", "no sé", "no lo sé", "non lo so", "não sei", "bilmiyorum",
    "nie wiem", "не знаю", "不知道", "わかりません", "?", "??", "???", "-", ".", "...",
)  # fmt: skip


def learn_limits(group: Sequence[Parts], tokenizer: bytes, max_tokens: int) -> list[Limits]:
    """Return the limits of each item of a model.

    Items share the quantiles, which few responses do not fix; their words and neighbours are each item's own.
    """
    featurizer = Featurizer.from_bytes(tokenizer, max_tokens)
    measured = [_Measures(parts, featurizer) for parts in group]

    def limit(measure: str, share: float) -> float:
        values = np.concatenate([getattr(item, measure) for item in measured])
        return float(np.quantile(values, 1 - share))

    shared = {
        "surprise": limit("surprise", OFF_TOPIC),
        "disorder": limit("disorder", DISORDERED),
        "pieces_per_character": limit("density", UNREADABLE),
        "copied": max(LEAST_COPIED, limit("copied", COPIED)),
        "repetition": max(LEAST_REPEATED, limit("repetition", REPEATED)),
    }
    return [
        Limits(
            refusals=refusals_of(parts.item, parts.marked),
            log_frequency=tuple(item.log_frequency.round(3).tolist()),
            usual=round(item.usual, 4),
            neighbours=packed(item.neighbours),
            usual_new=round(item.usual_new, 4),
            **shared,
        )
        for parts, item in zip(group, measured, strict=True)
    ]


def refusals_of(item: Item, rows: Iterable[MarkedResponse]) -> tuple[str, ...]:
    """Return the normalised responses that count as refusals of the item.

    They are REFUSALS and the item's own list.  An entry of REFUSALS is left out if a marked row earned more than the
    worst score with it.  Labels without order have no worst, so a row with any label takes the entry out: the student
    can learn that label.  No refusal is learnt from rows: a common wrong answer is an answer, and the student scores
    it.
    """
    answers = _earning(item, rows)
    known = [entry for entry in map(normalised, REFUSALS) if entry not in answers]
    return tuple(dict.fromkeys([*known, *map(normalised, item.refusals)]))


def contradicted(item: Item, rows: Iterable[MarkedResponse]) -> dict[str, int]:
    """Return the refusals on the item's list that marked rows contradict, each with the number of such rows.

    A row contradicts an entry if it earned more than the worst score with it, or has a label without order.  The entry
    stays: the item's author listed it.
    """
    answers = _earning(item, rows)
    return {entry: answers[normalised(entry)] for entry in item.refusals if normalised(entry) in answers}


def contradiction_warning(item_id: str, entry: str, count: int) -> str:
    """Return the warning about a refusal that marked rows contradict."""
    return (
        f"{item_id}: `refusals` lists {entry!r}, and {count} marked response(s) with this text earned more than the "
        "worst score, or have a label without order. The service never passes this text to a student. If it can be "
        "an answer, remove it from `refusals`."
    )


def _earning(item: Item, rows: Iterable[MarkedResponse]) -> Counter[str]:
    """Count the rows of each normalised text that have more than the worst score, or a label of a nominal item."""
    return Counter(normalised(row.text) for row in rows if not item.is_worst(row.value))


class _Measures:
    """Measures of an item's responses, marked or not: one value a response, and frequencies over all of them."""

    def __init__(self, parts: Parts, featurizer: Featurizer) -> None:
        texts = [*(row.text for row in parts.marked), *parts.unlabelled]
        responses = [read_pieces(featurizer, text) for text in texts]
        item_runs = prompt_runs(parts.item, featurizer)
        self.log_frequency = log_frequency(responses, featurizer.vocabulary)
        surprises = [-self.log_frequency[response].mean() for response in responses]
        self.usual = float(np.average(surprises, weights=[len(response) for response in responses]))
        self.surprise = _surprises(responses, self.usual, featurizer.vocabulary)
        neighbours_of = [neighbours(featurizer, without_signs(featurizer, response)) for response in responses]
        self.neighbours = _union(neighbours_of)
        self.usual_new, self.disorder = _disorders(neighbours_of)
        pairs = zip(responses, texts, strict=True)
        self.density = np.array([pieces_per_character(response, text) for response, text in pairs])
        self.copied = np.array([copied(response, item_runs) for response in responses])
        self.repetition = np.array([repetition(response) for response in responses])


def _surprises(responses: Sequence[Pieces], usual: float, vocabulary: int) -> NDArray[np.float64]:
    """Return (responses,): the surprise of each response, by frequencies counted on other folds."""
    values = np.zeros(len(responses))
    for fold in range(FOLDS):
        other_folds = [response for number, response in enumerate(responses) if number % FOLDS != fold]
        frequencies = log_frequency(other_folds, vocabulary).tolist()
        for number in range(fold, len(responses), FOLDS):
            values[number] = surprise(responses[number], frequencies, usual)
    return values


def _disorders(neighbours_of: Sequence[Pieces]) -> tuple[float, NDArray[np.float64]]:
    """Return the usual share of neighbours that no other fold has, and (responses,): the disorder of each response."""
    new = np.zeros(len(neighbours_of))
    for fold in range(FOLDS):
        seen = _union(pairs for number, pairs in enumerate(neighbours_of) if number % FOLDS != fold)
        for number in range(fold, len(neighbours_of), FOLDS):
            new[number] = disorder(neighbours_of[number], seen, 0.0)
    roots = np.sqrt([len(pairs) for pairs in neighbours_of])
    pair_count = (roots**2).sum()
    usual = float((new * roots).sum() / max(1, pair_count))
    return usual, new - usual * roots


def _union(neighbours_of: Iterable[Pieces]) -> SeenPairs:
    """Return the different neighbours of all responses, sorted."""
    return np.array(sorted(set().union(*neighbours_of)), np.int64)


def log_frequency(responses: Sequence[Pieces], vocabulary: int) -> NDArray[np.float64]:
    """Return (vocabulary,): the logarithm of the share of responses that hold each piece.

    Half a response is added to each count, so that the logarithm of a piece in no response is finite.
    """
    counts = np.full(vocabulary, 0.5)
    for response in responses:
        counts[list(set(response))] += 1
    return np.log(counts / (len(responses) + 1))
