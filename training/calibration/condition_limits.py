"""The limits of conditions and flags, learnt from responses themselves: few real ones may lie beyond them."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.scoring.conditions import (
    Limits,
    Pieces,
    SeenPairs,
    copied,
    density,
    disorder,
    neighbours,
    normalised,
    packed,
    pieces,
    prompt_runs,
    repetition,
    surprise,
    without_signs,
)
from app.scoring.featurizer import Featurizer
from app.scoring.item import Item
from training.data.responses import MarkedResponse
from training.data.splits import Parts

# Share of real responses that may lie beyond a limit; together they stay below two in a hundred.
OFF_TOPIC, DISORDERED, UNREADABLE, COPIED, REPEATED = 0.005, 0.003, 0.002, 0.002, 0.002
LEAST_COPIED, LEAST_REPEATED = 0.5, 0.5  # below these neither is worth a word, however rare
FOLDS = 5
REFUSALS = (
    "idk", "i dont know", "dont know", "i do not know", "no idea", "i have no idea", "not sure", "im not sure", "none",
    "nothing", "no answer", "no response", "na", "n a", "weiß nicht", "ich weiß nicht", "ich weiss nicht",
    "keine ahnung", "je ne sais pas", "aucune idée", "no sé", "no lo sé", "non lo so", "não sei", "bilmiyorum",
    "nie wiem", "не знаю", "不知道", "わかりません", "?", "??", "???", "-", ".", "...",
)  # fmt: skip


def learn_limits(group: Sequence[Parts], tokenizer: bytes, max_tokens: int) -> list[Limits]:
    """One an item.  Items with few responses share what is learnt of rare ones: their measures are alike."""
    featurizer = Featurizer.from_bytes(tokenizer, max_tokens)
    own = [_Measured(parts, featurizer) for parts in group]

    def beyond(name: str, share: float) -> float:
        return float(np.quantile(np.concatenate([getattr(item, name) for item in own]), 1 - share))

    common = {
        "surprise": beyond("surprise", OFF_TOPIC),
        "disorder": beyond("disorder", DISORDERED),
        "pieces_per_character": beyond("density", UNREADABLE),
        "copied": max(LEAST_COPIED, beyond("copied", COPIED)),
        "repetition": max(LEAST_REPEATED, beyond("repetition", REPEATED)),
    }
    return [
        Limits(
            refusals=refusals_of(parts.item, parts.marked),
            log_frequency=tuple(np.round(item.log_frequency, 3).tolist()),
            usual=round(item.usual, 4),
            neighbours=packed(item.neighbours),
            usual_new=round(item.usual_new, 4),
            **common,
        )
        for parts, item in zip(group, own, strict=True)
    ]


def refusals_of(item: Item, rows: Iterable[MarkedResponse]) -> tuple[str, ...]:
    """Return the normalised responses that count as refusals of the item.

    These are REFUSALS, less every entry that a marked row earned more than the worst score with, and the item's list.
    No label of a nominal item is the worst, so a row with any label takes the entry out: raters gave the words a
    label, and the student can learn it.  None is learnt from rows: a common wrong answer is an answer, and the student
    scores it.
    """
    answers = _earning(item, rows)
    known = [entry for entry in map(normalised, REFUSALS) if entry not in answers]
    return tuple(dict.fromkeys([*known, *map(normalised, item.refusals)]))


def contradicted(item: Item, rows: Iterable[MarkedResponse]) -> dict[str, int]:
    """Return the item's own refusals that marked rows contradict, with the number of these rows.

    A row contradicts an entry as it takes an entry out of REFUSALS.  The item's entries stay all the same: its owner
    listed them.
    """
    answers = _earning(item, rows)
    return {entry: answers[normalised(entry)] for entry in item.refusals if normalised(entry) in answers}


def contradiction_warning(item_id: str, entry: str, count: int) -> str:
    """Return what marked rows say of an item's refusal, and what to do."""
    return (
        f"{item_id}: `refusals` lists {entry!r}, and {count} marked response(s) with this text earned more than the "
        "worst score, or have a label without order. None of them reaches a student. Take the entry out of `refusals` "
        "if it can be an answer."
    )


def _earning(item: Item, rows: Iterable[MarkedResponse]) -> Counter[str]:
    """Count the rows of each normalised text that have more than the worst score, or a label of a nominal item."""
    return Counter(normalised(row.text) for row in rows if not item.is_worst(row.value))


class _Measured:
    """What there is to measure of one item's responses, unlabelled ones too."""

    def __init__(self, parts: Parts, featurizer: Featurizer) -> None:
        texts = [*(row.text for row in parts.marked), *parts.unlabelled]
        read = [pieces(featurizer, text) for text in texts]
        theirs = prompt_runs(parts.item, featurizer)
        size = featurizer.vocabulary
        self.log_frequency = log_frequency(read, size)
        self.usual = float(np.average([-self.log_frequency[own].mean() for own in read], weights=list(map(len, read))))
        self.surprise = np.zeros(len(read))
        for fold in range(FOLDS):  # of words that were counted a response is not surprising
            rest = log_frequency([own for number, own in enumerate(read) if number % FOLDS != fold], size).tolist()
            for number in range(fold, len(read), FOLDS):
                self.surprise[number] = surprise(read[number], rest, self.usual)
        side_by_side = [neighbours(featurizer, without_signs(featurizer, own)) for own in read]
        self.neighbours = _different(side_by_side)
        self.usual_new, self.disorder = _orders(side_by_side)
        self.density = np.array([density(own, text) for own, text in zip(read, texts, strict=True)])
        self.copied = np.array([copied(own, theirs) for own in read])
        self.repetition = np.array([repetition(own) for own in read])


def _orders(side_by_side: Sequence[Pieces]) -> tuple[float, NDArray[np.float64]]:
    """The share of neighbours that no other response has, and the disorder of each response among the others."""
    new = np.zeros(len(side_by_side))
    for fold in range(FOLDS):
        others = [own for number, own in enumerate(side_by_side) if number % FOLDS != fold]
        seen = _different(others)
        for number in range(fold, len(side_by_side), FOLDS):
            new[number] = disorder(side_by_side[number], seen, 0.0)
    roots = np.sqrt([len(own) for own in side_by_side])
    usual = float((new * roots).sum() / max(1, (roots**2).sum()))
    return usual, new - usual * roots


def _different(side_by_side: Sequence[Pieces]) -> SeenPairs:
    return np.array(sorted({pair for own in side_by_side for pair in own}), np.int64)


def log_frequency(read: Sequence[Pieces], size: int) -> NDArray[np.float64]:
    """(vocabulary,): the logarithm of the share of responses with each piece, half a response added to each count."""
    counts = np.full(size, 0.5)
    for own in read:
        counts[list(set(own))] += 1
    return np.log(counts / (len(read) + 1))
