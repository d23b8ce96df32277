"""Text to tensors.  Training and serving both call this, so they cannot disagree."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import BPE, Unigram

from app.scoring.errors import BadBundle

PAD, UNKNOWN, START = "[PAD]", "[UNK]", "[START]"
WORD = "▁"  # what a piece that begins a word begins with
SPECIAL = (PAD, UNKNOWN, START)  # ids 0, 1, 2: the student masks id 0


class Featurizer:
    """Responses to ids.  Every response begins with START, so that not even an empty one is all padding."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        tokenizer.enable_truncation(max_tokens)
        tokenizer.enable_padding(pad_id=0, pad_token=PAD)
        if isinstance(tokenizer.model, BPE | Unigram):
            tokenizer.model._resize_cache(0)  # it keeps up to 10,000 words it has met, 100 MB of strange ones
        self._tokenizer = tokenizer
        self._last: tuple[str | None, NDArray[np.int64]] = (None, np.zeros((0, 0), np.int64))
        tokens = [tokenizer.id_to_token(number) or "" for number in range(tokenizer.get_vocab_size())]
        self.begins = np.array([token.startswith(WORD) for token in tokens])  # (vocabulary,): pieces that begin words
        self.signs = np.array([not any(map(str.isalnum, token)) or token in SPECIAL for token in tokens])
        self.max_tokens = max_tokens

    @classmethod
    def from_bytes(cls, content: bytes, max_tokens: int) -> "Featurizer":
        """From the content of tokenizer.json.  Raises BadBundle if it is none, or its special ids are not ours."""
        try:
            tokenizer = Tokenizer.from_buffer(content)
        except ValueError as error:
            raise BadBundle(f"tokenizer.json cannot be read: {error}") from None
        ids = tuple(tokenizer.token_to_id(token) for token in SPECIAL)
        if ids != (0, 1, 2):
            raise BadBundle(f"tokenizer.json gives {SPECIAL} the ids {ids}, not (0, 1, 2)")
        return cls(tokenizer, max_tokens)

    @property
    def vocabulary(self) -> int:
        return self._tokenizer.get_vocab_size()

    def ids(self, responses: Sequence[str]) -> NDArray[np.int64]:
        """(responses, tokens), padded at the end with 0 to the longest response."""
        if len(responses) == 1:
            return self._alone(responses[0])
        encodings = self._tokenizer.encode_batch_fast(list(responses))
        return np.array([encoding.ids for encoding in encodings], dtype=np.int64)

    def _alone(self, response: str) -> NDArray[np.int64]:
        """The last one is kept: a response is looked at, then scored, and reading it takes about as long as scoring."""
        text, ids = self._last
        if text != response:
            [encoding] = self._tokenizer.encode_batch_fast([response])
            ids = np.array([encoding.ids], dtype=np.int64)
            ids.flags.writeable = False
            self._last = (response, ids)  # in one step: another thread sees the old pair or the new
        return ids
