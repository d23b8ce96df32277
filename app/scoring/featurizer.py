"""Text to tensors.  Training and serving both call this, so they cannot disagree."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram

from app.scoring.errors import BadBundle, no_panic, refusing

TOKENIZER = "tokenizer.json"
PAD, UNKNOWN, START = "[PAD]", "[UNK]", "[START]"
WORD = "▁"  # what a piece that begins a word begins with
SPECIAL = (PAD, UNKNOWN, START)  # ids 0, 1, 2: the student masks id 0
START_ID = SPECIAL.index(START)
Ids = list[int]  # of one response, as it was read
MOST_KEPT = 2048  # words, of at most so many characters and ids: a megabyte or two, if they are made to be strange
LONGEST_KEPT, MOST_IDS = 32, 16


class Featurizer:
    """Responses to ids.  Every response begins with START, so that not even an empty one is all padding."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        tokenizer.enable_truncation(max_tokens)
        tokenizer.no_padding()
        if isinstance(tokenizer.model, BPE | Unigram):
            tokenizer.model._resize_cache(0)  # it keeps up to 10,000 words it has met, 100 MB of strange ones
        self._tokenizer = tokenizer
        self._known: dict[str, Ids] = {}
        self.vocabulary = tokenizer.get_vocab_size()
        tokens = [tokenizer.id_to_token(number) or "" for number in range(self.vocabulary)]
        # By piece, 0 or 1: whether it begins a word, and whether it has no letter and no digit.
        self.begins = bytes(token.startswith(WORD) for token in tokens)
        self.signs = bytes(not any(map(str.isalnum, token)) or token in SPECIAL for token in tokens)
        self.max_tokens = max_tokens

    @classmethod
    def from_bytes(cls, content: bytes, max_tokens: int) -> "Featurizer":
        """From the content of tokenizer.json.  Raises BadBundle if it is none, or its special ids are not ours."""
        with refusing("tokenizer.json cannot be read", code="cannot_be_read", file=TOKENIZER):
            tokenizer = Tokenizer.from_buffer(content)
        ids = tuple(tokenizer.token_to_id(token) for token in SPECIAL)
        if ids != (0, 1, 2):
            raise BadBundle(
                f"tokenizer.json gives {SPECIAL} the ids {ids}, not (0, 1, 2)",
                code="wrong_special_ids",
                file=TOKENIZER,
                ids=ids,
            )
        with refusing("tokenizer.json cannot be used", code="cannot_be_used", file=TOKENIZER):
            return cls(tokenizer, max_tokens)

    def read(self, responses: Sequence[str]) -> list[Ids]:
        """The ids of each response, START first: those of what stands between its spaces, one after another.

        Learners write the same words again and again, so the ids of words are kept: looking them up takes a twentieth
        of the time.  Safe to share between threads.
        """
        known = self._known
        split = [response.split(" ") for response in responses]
        strange = {word for words in split for word in words if word not in known}
        met = self._encoded(list(strange)) if strange else {}
        return [self._joined(words, known, met) for words in split]

    def _joined(self, words: Sequence[str], known: dict[str, Ids], met: dict[str, Ids]) -> Ids:
        ids = [START_ID]
        for word in words:
            own = known.get(word)
            ids += met[word] if own is None else own
        return ids[: self.max_tokens]

    def _encoded(self, words: list[str]) -> dict[str, Ids]:
        with no_panic():
            encodings = self._tokenizer.encode_batch_fast(words)
        met = {word: encoding.ids[1:] for word, encoding in zip(words, encodings, strict=True)}
        short = {word: ids for word, ids in met.items() if len(word) <= LONGEST_KEPT and len(ids) <= MOST_IDS}
        if len(self._known) + len(short) > MOST_KEPT:
            self._known = {}  # a new one: others may be reading the old
        self._known |= dict(list(short.items())[:MOST_KEPT])
        return met

    def ids(self, responses: Sequence[str]) -> NDArray[np.int64]:
        """(responses, tokens), padded at the end with 0 to the longest response."""
        return padded(self.read(responses))


def padded(read: Sequence[Ids]) -> NDArray[np.int64]:
    """(responses, tokens), padded at the end with 0 to the longest."""
    if len(read) == 1:
        return np.array(read, np.int64)
    return np.array(list(zip_longest(*read, fillvalue=0)), np.int64).T
