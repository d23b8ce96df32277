"""The units of a text: words, or single characters where the writing sets no spaces between words."""

import re
from collections.abc import Sequence

# Thai, Lao, Burmese, Khmer, kana, Chinese characters.  Korean and Ethiopic writing have spaces.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def gap_of(texts: Sequence[str]) -> str:
    """Return the gap between two units of such texts: a space, or nothing where most characters take none."""
    characters = "".join("".join(text.split()) for text in texts)
    unspaced = len(UNSPACED.findall(characters))
    return "" if 2 * unspaced > len(characters) else " "


def units(text: str, gap: str) -> list[str]:
    """Return the units of a text: its words, or without a gap its characters."""
    words = text.split()
    return words if gap else list("".join(words))
