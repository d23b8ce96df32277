"""The number of tokens of responses, and the share of them that a student would not read to the end.  No torch."""

import unicodedata
from collections.abc import Mapping, Sequence

from app.scoring.featurizer import Featurizer
from training.config import MAX_STUDENT_TOKENS, StudentConfig
from training.student.tokenizer import learn_tokenizer


def token_counts(tokenizer: bytes, texts: Sequence[str]) -> list[int]:
    """Return the number of tokens of each text, START included, up to MAX_STUDENT_TOKENS."""
    featurizer = Featurizer.from_bytes(tokenizer, MAX_STUDENT_TOKENS)
    return [len(ids) for ids in featurizer.read(texts)]


def over_long_share(counts: Sequence[int], max_tokens: int) -> float:
    """Return the share of responses that would have the flag over_long."""
    if not counts:
        return 0.0
    return sum(count >= max_tokens for count in counts) / len(counts)


def enough_tokens(counts: Sequence[int], share: float) -> int:
    """Return the smallest max_tokens under which no more than this share is over-long."""
    ranked = sorted(counts, reverse=True)
    allowed = int(share * len(ranked))
    longest = ranked[min(allowed, len(ranked) - 1)]
    return min(MAX_STUDENT_TOKENS, longest + 1)


def expected_counts(texts: Sequence[str], written: Sequence[str], student: StudentConfig) -> list[int]:
    """Return the token counts of texts under the tokenizer that would be learnt from `written`.

    No tokenizer is learnt where no text can be over-long: a character is at most two pieces.
    """
    lengths = [len(unicodedata.normalize("NFKC", text)) for text in texts]
    longest = max(lengths, default=0)
    if 2 * longest + 1 < student.max_tokens:
        return [0] * len(texts)
    return token_counts(learn_tokenizer(written, student.vocabulary), texts)


def over_long_warning(item_id: str, shares: Mapping[str, float], max_tokens: int, enough: int) -> str:
    """Return a warning: the over-long share of each part, its consequence, and the setting to raise."""
    reached = " and ".join(f"{share:.0%} of {name}" for name, share in shares.items())
    return (
        f"{item_id}: {reached} reach {max_tokens} tokens. The student does not read the end of these responses, a "
        f"person reviews each of them, and the gate refuses the item. Raise student.max_tokens in the settings "
        f"(--config) to {enough}."
    )
