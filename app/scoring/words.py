"""Words of any script."""

import unicodedata
from functools import cache

IDEOGRAPHS = {"CJK", "IDEOGRAPHIC"}
KANA = {"HIRAGANA", "KATAKANA"}
UNSPACED = IDEOGRAPHS | KANA | {"THAI", "LAO", "KHMER", "MYANMAR"}  # scripts that put no space between words


@cache
def script(character: str) -> str:
    """Return the first word of the character's Unicode name, such as LATIN, CYRILLIC or CJK."""
    name = unicodedata.name(character, "").removeprefix("FULLWIDTH ").removeprefix("HALFWIDTH ")
    return name.replace("-", " ").partition(" ")[0]


def words(text: str) -> list[str]:
    """Return runs of letters, marks and digits in lower case; each letter of a script without spaces is a word."""
    return "".join(_apart(character) for character in unicodedata.normalize("NFC", text.lower())).split()


def _apart(character: str) -> str:
    if unicodedata.category(character)[0] not in "LMN":
        return " "
    return f" {character} " if script(character) in UNSPACED else character
