"""Turn text into tensors.  Training and service both call this module, so they cannot disagree."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram

from app.scoring.errors import BadBundle, no_panic, refusing

TOKENIZER = "tokenizer.json"
PAD, UNKNOWN, START = "[PAD]", "[UNK]", "[START]"
WORD = "▁"  # the first character of a piece that begins a word
SPECIAL = (PAD, UNKNOWN, START)  # ids 0, 1, 2; the student masks id 0
START_ID = SPECIAL.index(START)
Ids = list[int]  # ids of one response
# Limits of the cache of words: words in it, characters of a word, ids of a word.  Even hostile words fill 1-2 MB only.
CACHED_WORDS, CACHED_CHARACTERS, CACHED_IDS = 2048, 32, 16


class Featurizer:
    """Turns responses into ids.  Every response begins with START, so that an empty response is not all padding."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        tokenizer.enable_truncation(max_tokens)
        tokenizer.no_padding()
        if isinstance(tokenizer.model, BPE | Unigram):
            # No public setting limits the cache of the library.  It took 152 MiB for 360 responses of unknown words,
            # against 0.9 MiB without it (see tests/app/scoring/test_featurizer.py).
            tokenizer.model._resize_cache(0)
        self._tokenizer = tokenizer
        self._cache: dict[str, Ids] = {}
        self.vocabulary = tokenizer.get_vocab_size()
        tokens = [tokenizer.id_to_token(number) or "" for number in range(self.vocabulary)]
        # For each piece, 0 or 1: does it begin a word, and has it neither letter nor digit?
        self.begins = bytes(token.startswith(WORD) for token in tokens)
        self.signs = bytes(map(_is_sign, tokens))
        self.max_tokens = max_tokens

    @classmethod
    def from_bytes(cls, content: bytes, max_tokens: int) -> "Featurizer":
        """Load a featurizer from the content of tokenizer.json.

        Raises BadBundle if the content is not a tokenizer, or if the special tokens have other ids.
        """
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
        """Return the ids of each response: START, then the ids of its words, at most `max_tokens`.

        Words are separated by spaces.  A cache keeps the ids of words, because learners use the same words again and
        again: a look-up takes a twentieth of the time.  Threads may share a featurizer.
        """
        cached = self._cache
        split = [response.split(" ") for response in responses]
        unknown = {word for words in split for word in words if word not in cached}
        encoded = self._encode(list(unknown)) if unknown else {}
        return [self._joined(words, cached, encoded) for words in split]

    def _joined(self, words: Sequence[str], cached: dict[str, Ids], encoded: dict[str, Ids]) -> Ids:
        ids = [START_ID]
        for word in words:
            word_ids = cached.get(word)
            ids += encoded[word] if word_ids is None else word_ids
        return ids[: self.max_tokens]

    def _encode(self, words: list[str]) -> dict[str, Ids]:
        """Return the ids of words, and add short words to the cache."""
        with no_panic():
            encodings = self._tokenizer.encode_batch_fast(words)
        encoded = {word: encoding.ids[1:] for word, encoding in zip(words, encodings, strict=True)}
        short = [
            (word, ids) for word, ids in encoded.items() if len(word) <= CACHED_CHARACTERS and len(ids) <= CACHED_IDS
        ]
        if len(self._cache) + len(short) > CACHED_WORDS:
            self._cache = {}  # a new dictionary, because other threads may be reading the old
        self._cache |= dict(short[:CACHED_WORDS])
        return encoded

    def ids(self, responses: Sequence[str]) -> NDArray[np.int64]:
        """Return the ids of responses, padded at the end with 0: shape (responses, tokens of the longest)."""
        return padded(self.read(responses))


def padded(read: Sequence[Ids]) -> NDArray[np.int64]:
    """Return ids of responses, padded at the end with 0: shape (responses, tokens of the longest)."""
    if len(read) == 1:
        return np.array(read, np.int64)
    by_place = list(zip_longest(*read, fillvalue=0))
    return np.array(by_place, np.int64).T


def _is_sign(token: str) -> bool:
    """Return whether a token has neither letter nor digit, or is a special token."""
    return token in SPECIAL or not any(map(str.isalnum, token))
