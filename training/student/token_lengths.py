"""How many tokens responses have, and which share of them a student would not read to the end.  No torch."""

import unicodedata
from collections.abc import Mapping, Sequence

from app.scoring.featurizer import Featurizer
from training.config import MAX_STUDENT_TOKENS, StudentConfig
from training.student.tokenizer import learn_tokenizer


def token_counts(tokenizer: bytes, texts: Sequence[str]) -> list[int]:
    """Return the number of tokens of each text, START included, up to MAX_STUDENT_TOKENS."""
    return [len(ids) for ids in Featurizer.from_bytes(tokenizer, MAX_STUDENT_TOKENS).read(texts)]


def over_long_share(counts: Sequence[int], max_tokens: int) -> float:
    """Return the share that the flag over_long would hold for."""
    return sum(count >= max_tokens for count in counts) / len(counts) if counts else 0.0


def enough_tokens(counts: Sequence[int], share: float) -> int:
    """Return the smallest max_tokens with which no more than this share is over-long."""
    ranked = sorted(counts, reverse=True)
    return min(MAX_STUDENT_TOKENS, ranked[min(int(share * len(ranked)), len(ranked) - 1)] + 1)


def expected_counts(texts: Sequence[str], written: Sequence[str], student: StudentConfig) -> list[int]:
    """Return the token counts of texts by the tokenizer that would be learnt from what learners wrote.

    No tokenizer is learnt where no text can be over-long: a character is at most two pieces.
    """
    longest = max((len(unicodedata.normalize("NFKC", text)) for text in texts), default=0)
    if 2 * longest + 1 < student.max_tokens:
        return [0] * len(texts)
    return token_counts(learn_tokenizer(written, student.vocabulary), texts)


def over_long_warning(item_id: str, shares: Mapping[str, float], max_tokens: int, enough: int) -> str:
    """Return which share of each part is over-long, what comes of it, and the setting to raise."""
    found = " and ".join(f"{share:.0%} of {name}" for name, share in shares.items())
    return (
        f"{item_id}: {found} reach {max_tokens} tokens: a student does not read their end, a person looks at each, and "
        f"the gate refuses the item. Raise student.max_tokens in the settings (--config) to {enough}."
    )
