"""Read a response's text: every door (HTTP, CSV, JSONL) and training call this, so they cannot disagree."""

import re
import unicodedata
from typing import Literal

from app.scoring.errors import BadText
from app.scoring.markup import plain_text

Format = Literal["html", "text"]
MAX_CHARACTERS = 20_000  # ten times the longest marked response we have seen
MAX_SENT = 10 * MAX_CHARACTERS  # with mark-up: Word sends some five times the text, and more must cost no memory
SENTENCE_ENDS = re.compile(r"(?<=[.!?。！？…])\s+|\n+")
INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}  # Unicode categories: controls, format characters, separators


def checked_text(text: str, most: int = MAX_CHARACTERS) -> str:
    """Return the text unchanged.

    Raises BadText for characters that a database or a tokenizer cannot hold (NUL, lone surrogates) and for more than
    `most` characters.
    """
    if len(text) > most:
        sentence = f"the text has {len(text)} characters, at most {most} are allowed"
        raise BadText(sentence, code="too_long", characters=len(text), most=most)
    if "\0" in text:
        position = text.index("\0")
        raise BadText(f"the text holds a NUL character at position {position}", code="nul", position=position)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        sentence = f"the text holds a lone surrogate at position {error.start}"
        raise BadText(sentence, code="lone_surrogate", position=error.start) from None
    return text


def checked_sent(sent: str) -> str:
    """Return a response unchanged as it was sent, mark-up included.  Raises BadText as `checked_text` does."""
    return checked_text(sent, MAX_SENT)


def read_response(sent: str, form: Format) -> str:
    """Return the plain text of a response that `checked_sent` has passed; all but the log see only this text.

    Raises BadText where the plain text has more than MAX_CHARACTERS.
    """
    text = plain_text(sent) if form == "html" else sent
    if len(text) > MAX_CHARACTERS:
        counted = "" if form == "text" else " without its mark-up"
        sentence = f"the text has {len(text)} characters{counted}, at most {MAX_CHARACTERS} are allowed"
        raise BadText(sentence, code="too_long", characters=len(text), most=MAX_CHARACTERS)
    return text


def is_blank(text: str) -> bool:
    """Nothing a reader could see: empty, white space, control or zero-width characters only."""
    return all(unicodedata.category(character) in INVISIBLE for character in text)


def whole_sentences(text: str) -> str:
    """A text that was cut off, up to its last whole sentence; nothing if it has none."""
    sentences = SENTENCE_ENDS.split(text.strip())
    return text.strip()[: -len(sentences[-1])].strip() if len(sentences) > 1 else ""
