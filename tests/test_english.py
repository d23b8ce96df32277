"""Prose and names follow our English: nouns as subjects, and variables that say what they hold."""

import ast
from pathlib import Path

import pytest

from benchmarks.english import PACKAGES, WORDS, modules, prose_of, words_of

ROOT = Path(__file__).parents[1]
MOST = 1.0  # of the four words in 1,000
# Pronouns and bare participles: a reader has to look elsewhere for their meaning.
PRONOUNS = frozenset(
    {"found", "given", "it", "made", "one", "ones", "others", "own", "same", "such", "that", "them", "these", "this"}
    | {"those", "told", "what", "who", "whose"}
)
FILE_FORMATS = {("training/compare/results.py", "found")}  # keys of files
FILES = [path for package in PACKAGES for path in modules(ROOT / package)]


def bound_names(tree: ast.Module) -> list[tuple[int, str]]:
    """Return the line and name of every variable and parameter."""
    nodes = list(ast.walk(tree))
    variables = [(node.lineno, node.id) for node in nodes if isinstance(node, ast.Name) and _is_stored(node)]
    return variables + [(node.lineno, node.arg) for node in nodes if isinstance(node, ast.arg)]


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


@pytest.mark.parametrize("kind", ["docstrings", "comments", "docs"])
def test_nouns_are_the_subjects_of_sentences(kind: str) -> None:
    words = words_of(prose_of(ROOT)[kind])
    counted = sum(word in WORDS for word in words)

    assert 1000 * counted / len(words) <= MOST, f"{counted} of {WORDS} in {len(words)} words of {kind}"


def test_variables_say_what_they_hold() -> None:
    pronouns = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in FILES
        for line, name in bound_names(ast.parse(path.read_text(encoding="utf-8")))
        if name in PRONOUNS and (str(path.relative_to(ROOT)), name) not in FILE_FORMATS
    ]

    assert pronouns == []


def test_a_pronoun_is_seen_wherever_it_is_bound() -> None:
    source = "def score(own):\n    for one in own:\n        found = [such for such in one]\n"

    names = [name for _, name in bound_names(ast.parse(source))]

    assert sorted({*names} & PRONOUNS) == ["found", "one", "own", "such"]
