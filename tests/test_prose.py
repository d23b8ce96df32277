"""Test that no test knows the sentence of an error: tests assert code and fields."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
RAISES = ("raises", "refused")


@pytest.fixture(scope="module")
def ours() -> set[str]:
    """Return the names of all error classes in app and training, from their source: importing torch takes seconds."""
    files = [path for package in ("app", "training") for path in (TESTS.parent / package).rglob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    errors = {"CodedError"}
    while more := {node.name for node in classes if any(named(base) & errors for base in node.bases)} - errors:
        errors |= more
    return errors


def named(node: ast.AST) -> set[str]:
    """Return the last part of every name in an expression: BadRows of errors.BadRows."""
    parts = list(ast.walk(node))
    return {part.id for part in parts if isinstance(part, ast.Name)} | {
        part.attr for part in parts if isinstance(part, ast.Attribute)
    }


def sentences_known(source: str, ours: set[str]) -> list[int]:
    """Return the lines that compare the text of an error of scorelet.

    These are `pytest.raises(OurError, match=...)` and comparisons of `str(caught.value)` with two or more words.
    """
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and named(node.func) & {*RAISES}:
            kinds = named(node.args[0]) if node.args else set()
            if kinds & ours and any(keyword.arg == "match" for keyword in node.keywords):
                lines.append(node.lineno)
        if isinstance(node, ast.Compare) and any(map(_is_sentence, ast.walk(node))) and _reads_error(node):
            lines.append(node.lineno)
    return sorted(lines)


def _is_sentence(node: ast.AST) -> bool:
    """Return whether the node is a literal of two or more words.  Commands of scorelet are values, not sentences."""
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and len([word for word in node.value.split() if word.isalpha()]) > 1
        and not node.value.startswith(("`scorelet", "scorelet"))
    )


def _reads_error(node: ast.Compare) -> bool:
    """Return whether the node compares str(caught.value), except with `not in`, which claims that words are absent."""
    if any(isinstance(operator, ast.NotIn) for operator in node.ops):
        return False
    calls = [part for part in ast.walk(node) if isinstance(part, ast.Call) and named(part.func) == {"str"}]
    arguments = [call.args[0] for call in calls if call.args]
    return any(isinstance(part, ast.Attribute) and part.attr in ("value", "exception") for part in arguments)


def test_no_test_knows_a_sentence_of_an_error(ours: set[str]) -> None:
    places = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        for line in sentences_known(path.read_text(encoding="utf-8"), ours)
    ]

    assert places == [], "assert the code and the fields: tests/refusals.py"


@pytest.mark.parametrize(
    ("source", "known"),
    [
        ("with pytest.raises(BadRows, match='bad'): pass", True),
        ("with pytest.raises((OSError, errors.BadRows), match=words): pass", True),
        ("with raises(BadRows, match='bad') as caught: pass", True),
        ("with pytest.raises(BadRows): pass", False),
        ("with pytest.raises(OSError, match='No space'): pass", False),
        ("assert 'two bad rows' in str(caught.value)", True),
        ("assert str(caught.value) == 'two bad rows'", True),
        ("assert 'heat-1' in str(caught.value)", False),
        ("assert 'a learner wrote' not in str(caught.value)", False),
        ("assert '`scorelet db upgrade`' in str(caught.value)", False),
    ],
)
def test_a_known_sentence_is_found(ours: set[str], source: str, known: bool) -> None:
    assert bool(sentences_known(source, ours)) is known
