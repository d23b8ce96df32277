"""Read the text of a response.  HTTP, file formats and training all call these functions, so they cannot disagree."""

import re
import unicodedata
from typing import Literal

from app.scoring.errors import BadText
from app.scoring.markup import plain_text

Format = Literal["html", "text"]
MAX_CHARACTERS = 20_000  # ten times the longest marked response in our data sets
MAX_SENT = 10 * MAX_CHARACTERS  # With mark-up.  Word sends about five times the text; the limit bounds memory.
SENTENCE_ENDS = re.compile(r"(?<=[.!?。！？…])\s+|\n+")
INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}  # Unicode categories: controls, format characters, separators


def checked_text(text: str, most: int = MAX_CHARACTERS) -> str:
    """Return the text unchanged.

    Raises BadText for a text longer than `most` characters, and for NUL characters and lone surrogates, which databases
    and tokenizers cannot hold.
    """
    if len(text) > most:
        sentence = f"the text has {len(text)} characters; at most {most} are allowed"
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
    """Return a response unchanged, as the caller sent it, with mark-up.  Raises BadText as `checked_text` does."""
    return checked_text(sent, MAX_SENT)


def read_response(sent: str, form: Format) -> str:
    """Return the plain text of a response that passed `checked_sent`.  Only the log keeps the response with mark-up.

    Raises BadText if the plain text has more than MAX_CHARACTERS characters.
    """
    text = plain_text(sent) if form == "html" else sent
    if len(text) > MAX_CHARACTERS:
        counted = "" if form == "text" else " without its mark-up"
        sentence = f"the text has {len(text)} characters{counted}; at most {MAX_CHARACTERS} are allowed"
        raise BadText(sentence, code="too_long", characters=len(text), most=MAX_CHARACTERS)
    return text


def is_blank(text: str) -> bool:
    """Return whether the text has no visible character: only white space, controls or zero-width characters."""
    return all(unicodedata.category(character) in INVISIBLE for character in text)


def whole_sentences(text: str) -> str:
    """Return a truncated text up to the end of its last whole sentence, or "" if no sentence is whole."""
    stripped = text.strip()
    sentences = SENTENCE_ENDS.split(stripped)
    if len(sentences) == 1:
        return ""
    whole = stripped.removesuffix(sentences[-1])
    return whole.strip()
