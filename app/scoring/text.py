"""Which text can be a response at all.  Every door (HTTP, CSV, JSONL) asks here."""

import re
import unicodedata

from app.scoring.errors import BadText

MAX_CHARACTERS = 20_000  # ten times the longest marked response we have seen
SENTENCE_ENDS = re.compile(r"(?<=[.!?。！？…])\s+|\n+")
INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}  # Unicode categories: controls, format characters, separators


def checked_text(text: str) -> str:
    """The text unchanged.

    Raises BadText for what a database or a tokenizer cannot hold (NUL, lone surrogates) and for more than
    MAX_CHARACTERS.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadText(f"the text has {len(text)} characters, at most {MAX_CHARACTERS} are allowed")
    if "\0" in text:
        raise BadText(f"the text holds a NUL character at position {text.index(chr(0))}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadText(f"the text holds a lone surrogate at position {error.start}") from None
    return text


def is_blank(text: str) -> bool:
    """Nothing a reader could see: empty, white space, control or zero-width characters only."""
    return all(unicodedata.category(character) in INVISIBLE for character in text)


def whole_sentences(text: str) -> str:
    """A text that was cut off, up to its last whole sentence; nothing if it has none."""
    sentences = SENTENCE_ENDS.split(text.strip())
    return text.strip()[: -len(sentences[-1])].strip() if len(sentences) > 1 else ""
