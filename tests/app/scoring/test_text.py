import pytest

from app.scoring.errors import BadText
from app.scoring.text import MAX_CHARACTERS, MAX_SENT, Format, checked_sent, checked_text, is_blank, read_response
from tests.refusals import refused


@pytest.mark.parametrize("text", ["", "  \n\t", "\u200b\u200d", "\u00a0\u3000", "\x07", "\ufeff"])
def test_invisible_text_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", "0", "?", "  .", "水", "\u0301", "🙂"])
def test_visible_character_is_not_blank(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.parametrize(
    ("text", "code", "fields"),
    [
        ("heat\0rises", "nul", {"position": 4}),
        ("heat \ud800", "lone_surrogate", {"position": 5}),
        ("x" * (MAX_CHARACTERS + 1), "too_long", {"characters": 20_001, "most": 20_000}),
    ],
)
def test_text_that_cannot_be_stored_is_refused_without_quoting_it(text: str, code: str, fields: dict[str, int]) -> None:
    with refused(BadText, code, **fields) as caught:
        checked_text(text)

    assert "heat" not in str(caught.value)


def test_longest_allowed_text_is_returned_unchanged() -> None:
    text = "ß" * MAX_CHARACTERS

    assert checked_text(text) is text


def test_response_has_one_limit_with_mark_up_and_one_as_plain_text() -> None:
    sent = "<p>" * (MAX_SENT // 3)

    assert checked_sent(sent) is sent
    assert read_response(sent, "html") == ""
    with refused(BadText, "too_long", characters=MAX_SENT + 1, most=MAX_SENT):
        checked_sent(" " * (MAX_SENT + 1))


@pytest.mark.parametrize("form", ["html", "text"])
def test_plain_text_has_the_same_limit_in_both_formats(form: Format) -> None:
    text = "ß" * MAX_CHARACTERS

    assert read_response(text, form) is text
    with refused(BadText, "too_long", characters=MAX_CHARACTERS + 1, most=MAX_CHARACTERS):
        read_response(text + "ß", form)


def test_mark_up_is_removed_from_html_and_kept_in_text() -> None:
    assert read_response("<p>a &lt; b</p>", "html") == "a < b"
    assert read_response("<p>a &lt; b</p>", "text") == "<p>a &lt; b</p>"
