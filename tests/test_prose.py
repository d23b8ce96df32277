"""No test knows how an error of ours is worded: it asks for the code and the fields."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
RAISES = ("raises", "refused")


@pytest.fixture(scope="module")
def ours() -> set[str]:
    """Return the names of all classes of errors in app and training, as read: an import of torch takes seconds."""
    files = [path for package in ("app", "training") for path in (TESTS.parent / package).rglob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found = {"CodedError"}
    while more := {own.name for own in classes if any(named(base) & found for base in own.bases)} - found:
        found |= more
    return found


def named(node: ast.AST) -> set[str]:
    """Return the last part of every name in an expression: BadRows of errors.BadRows."""
    parts = list(ast.walk(node))
    return {part.id for part in parts if isinstance(part, ast.Name)} | {
        part.attr for part in parts if isinstance(part, ast.Attribute)
    }


def sentences_known(source: str, ours: set[str]) -> list[int]:
    """Return the lines that match the text of an error of ours.

    Such are `pytest.raises(OurError, match=...)`, and a literal of two words or more that is compared with
    `str(caught.value)`.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and named(node.func) & {*RAISES}:
            kinds = named(node.args[0]) if node.args else set()
            if kinds & ours and any(keyword.arg == "match" for keyword in node.keywords):
                found.append(node.lineno)
        if isinstance(node, ast.Compare) and any(map(_is_sentence, ast.walk(node))) and _reads_error(node):
            found.append(node.lineno)
    return sorted(found)


def _is_sentence(node: ast.AST) -> bool:
    """Whether it is a literal of two words.  A command of ours is a value: a person is to call it."""
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and len([word for word in node.value.split() if word.isalpha()]) > 1
        and not node.value.startswith(("`scorelet", "scorelet"))
    )


def _reads_error(node: ast.Compare) -> bool:
    """Whether str(… .value), of an exception that pytest caught, is compared; `not in` claims that words are absent."""
    if any(isinstance(operator, ast.NotIn) for operator in node.ops):
        return False
    calls = [own for own in ast.walk(node) if isinstance(own, ast.Call) and named(own.func) == {"str"} and own.args]
    return any(isinstance(own.args[0], ast.Attribute) and own.args[0].attr in ("value", "exception") for own in calls)


def test_no_test_knows_a_sentence_of_an_error(ours: set[str]) -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        for line in sentences_known(path.read_text(encoding="utf-8"), ours)
    ]

    assert found == [], "assert the code and the fields: tests/refusals.py"


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
