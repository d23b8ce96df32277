import pytest

from app.scoring.errors import BadText
from app.scoring.text import MAX_CHARACTERS, checked_text, is_blank


@pytest.mark.parametrize("text", ["", "  \n\t", "\u200b\u200d", "\u00a0\u3000", "\x07", "\ufeff"])
def test_what_no_reader_could_see_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", "0", "?", "  .", "水", "\u0301", "🙂"])
def test_a_single_visible_character_is_not_blank(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("heat\0rises", "NUL character at position 4"),
        ("heat \ud800", "lone surrogate at position 5"),
        ("x" * (MAX_CHARACTERS + 1), "20001 characters"),
    ],
)
def test_what_cannot_be_stored_is_refused_without_repeating_it(text: str, reason: str) -> None:
    with pytest.raises(BadText, match=reason) as refused:
        checked_text(text)

    assert "heat" not in str(refused.value)


def test_the_longest_allowed_text_passes_unchanged() -> None:
    text = "ß" * MAX_CHARACTERS

    assert checked_text(text) is text
