"""Measure the English of docstrings, comments and docs: forbidden words, first words, and lengths of sentences."""

import ast
import io
import re
import statistics
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TypeGuard

PACKAGES = ("app", "training")
WORDS = ("what", "who", "whatever", "whoever")
# First words of docstrings, imperative or in the third person.
VERBS = frozenset(
    re.findall(
        r"\w+",
        """
        accept add allow answer apply ask assign batch begin bind bring build cache calibrate call cancel
        carve cause check choose claim clear close collect combine commit compare compute connect convert copy
        count create cut decide decode delete describe detect divide do draw drop encode end ensure erase
        estimate evaluate evict examine export extract fail fetch fill find fine fit flag fold fork format
        freeze gather generate get give group guard guess handle hash hold ignore include initialise insert
        iterate join judge keep kill label learn let limit list load lock log look make map mark match measure
        merge mix move name normalise note notify open order pack pad parse pass patch plot poll prepare
        print probe process produce promise put raise rank read record redirect reduce refuse register release remove
        rename render repeat replace report reserve resolve restore return revoke roll rotate round run
        sample save say scale score see select send serve set share show shut sort split start stop store
        strip submit sum suspend swap take tell test tie time tokenise train translate trim truncate try
        turn undo unpack update upgrade use validate wait walk warn watch withdraw wrap write yield
        """,
    )
)
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
DOCUMENTED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module


def english(root: Path, trees: dict[Path, ast.Module]) -> dict[str, object]:
    """Return figures about docstrings, comments and docs."""
    public = [text for tree in trees.values() for text in public_docstrings(tree)]
    prose = prose_of(root)
    with_a_verb = sum(map(begins_with_a_verb, public))
    sentences = re.split(r"(?<=[.!?:])\s+", prose["docs"])
    lengths = [len(sentence.split()) for sentence in sentences if sentence.split()]
    return {
        "words_per_1000": {name: round(1000 * share_of_words(text), 1) for name, text in prose.items()},
        "public_docstrings": len(public),
        "docstrings_that_begin_with_a_verb": round(with_a_verb / max(1, len(public)), 3),
        "docs_mean_sentence": round(statistics.mean(lengths), 1) if lengths else None,
    }


def prose_of(root: Path) -> dict[str, str]:
    """Return the text of all docstrings, all comments and all pages of docs."""
    paths = [path for name in PACKAGES for path in modules(root / name)]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    pages = sorted((root / "docs").rglob("*.md"))
    return {
        "docstrings": " ".join(text for tree in trees for text in all_docstrings(tree)),
        "comments": " ".join(text for path in paths for _, text in comments(path)),
        "docs": " ".join(map(running_text, pages)),
    }


def modules(folder: Path) -> list[Path]:
    """Return every Python file below a folder, sorted."""
    return sorted(folder.rglob("*.py"))


def share_of_words(text: str) -> float:
    """Return the share of a text's words that are in WORDS."""
    words = words_of(text)
    return sum(word in WORDS for word in words) / max(1, len(words))


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"[\w'-]+", text.lower())


def begins_with_a_verb(text: str) -> bool:
    """Return whether the first word of a text is in VERBS."""
    first = re.match(r"\W*([A-Za-z]+)", text)
    return first is not None and stem(first[1].lower()) in VERBS


def stem(word: str) -> str:
    """Return the plain form of a verb: `return` for `returns`."""
    for ending, plain_ending in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("es", "e"), ("s", "")):
        if word.endswith(ending) and word.removesuffix(ending) + plain_ending in VERBS:
            return word.removesuffix(ending) + plain_ending
    return word


def public_docstrings(tree: ast.Module) -> Iterator[str]:
    """Yield the docstrings of public functions and methods."""
    for node in ast.walk(tree):
        if is_public_function(node) and (text := ast.get_docstring(node)):
            yield text


def all_docstrings(tree: ast.Module) -> Iterator[str]:
    """Yield every docstring."""
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each comment but directives to tools."""
    with io.StringIO(path.read_text(encoding="utf-8")) as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type == tokenize.COMMENT and not re.match(r"#\s*(noqa|type:|fmt:)", token.string):
                yield token.start[0], token.string.lstrip("# ")


def running_text(path: Path) -> str:
    """Return a page's text without code, tables and headings."""
    text = re.sub(r"```.*?```", " ", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line for line in text.splitlines() if line.strip() and not re.match(r"\s*(\||#|!\[)", line)]
    ended = [_ended(line, following) for line, following in pairwise([*lines, ""])]
    return re.sub(r"`[^`]*`", "code", " ".join(ended))


def _ended(line: str, following: str) -> str:
    """Return a line with a period if it ends an entry of a list without punctuation."""
    begins_entry = re.match(r"\s*[-*\d]", following) is not None
    return line + "." if begins_entry and not line.rstrip().endswith((".", ":")) else line


def forbidden_words(text: str) -> list[str]:
    """Return the words of WORDS that a text has, sorted."""
    return sorted({*words_of(text)} & {*WORDS})


def is_public_function(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return whether a node is a public function.  Properties are none: their docstrings are noun phrases."""
    if not isinstance(node, FUNCTIONS) or node.name.startswith("_"):
        return False
    return not any(isinstance(name, ast.Name) and "property" in name.id for name in node.decorator_list)
