import pytest

from app.scoring.words import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop: 3.5_m!", ["don", "t", "stop", "3", "5", "m"]),
        ("Größe", ["größe"]),
        ("Gro\u0308ße", ["größe"]),  # the same, its mark a character by itself
        ("उत्तर सही", ["उत्तर", "सही"]),  # vowel signs belong to the word
        ("水H2O气", ["水", "h2o", "气"]),
        ("👍 …", []),
    ],
)
def test_words_are_runs_of_letters_marks_and_digits(text: str, expected: list[str]) -> None:
    assert words(text) == expected
