"""Split text of any script into words."""

import unicodedata
from functools import cache

IDEOGRAPHS = {"CJK", "IDEOGRAPHIC"}
KANA = {"HIRAGANA", "KATAKANA"}
UNSPACED = IDEOGRAPHS | KANA | {"THAI", "LAO", "KHMER", "MYANMAR"}  # scripts without spaces between words


@cache
def script(character: str) -> str:
    """Return the first word of the character's Unicode name, such as LATIN, CYRILLIC or CJK."""
    name = unicodedata.name(character, "").removeprefix("FULLWIDTH ").removeprefix("HALFWIDTH ")
    return name.replace("-", " ").partition(" ")[0]


def words(text: str) -> list[str]:
    """Return runs of letters, marks and digits in lower case; in a script without spaces each letter is a word."""
    characters = unicodedata.normalize("NFC", text.lower())
    return "".join(map(_separated, characters)).split()


def _separated(character: str) -> str:
    """Return the character with spaces around it, or a space for a character that no word holds."""
    if unicodedata.category(character)[0] not in "LMN":
        return " "
    return f" {character} " if script(character) in UNSPACED else character
