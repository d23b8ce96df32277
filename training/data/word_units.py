"""What a text may be cut into: its words, or single characters where its writing sets no spaces between words."""

import re
from collections.abc import Sequence

# Thai, Lao, Burmese, Khmer, kana, Chinese characters.  Korean and Ethiopic writing have spaces.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def gap_of(texts: Sequence[str]) -> str:
    """What stands between two units of such texts: a space, or nothing where most characters have none."""
    written = "".join("".join(text.split()) for text in texts)
    return "" if 2 * len(UNSPACED.findall(written)) > len(written) else " "


def units(text: str, gap: str) -> list[str]:
    return text.split() if gap else list("".join(text.split()))
