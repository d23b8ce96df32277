"""Measure how the code and its prose read: `python -m benchmarks.structure [ROOT]`.

With `--list WORD`, print the places of the code whose path holds the word and which count against a figure.

Rooms, import circles, module and function lengths, syntax nodes per statement, nesting of expressions, and the share of
docstrings and comments that follow our English.  Formatting does not matter: every tree is parsed and unparsed first.
"""

import argparse
import ast
import io
import json
import re
import statistics
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

PACKAGES = ("app", "training")
DEEP = 4  # expressions nested deeper are counted
LONG = 40  # lines of a function
WORDS = ("what", "who", "whatever", "whoever")
# Third person or imperative, as the first word of a docstring; others of our docstrings are read by a person.
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how the code and its prose read.")
    parser.add_argument("root", nargs="?", type=Path, default=Path())
    parser.add_argument("--list", metavar="WORD", help="print the places in files whose path holds WORD")
    arguments = parser.parse_args()
    root: Path = arguments.root
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for name in PACKAGES for path in modules(root / name)}
    if arguments.list is not None:
        chosen = {path: tree for path, tree in trees.items() if arguments.list in str(path)}
        print(*sorted(places(chosen)), sep="\n")
        return
    print(json.dumps(structure(root, trees) | english(root, trees), indent=2))


def places(trees: dict[Path, ast.Module]) -> Iterator[str]:
    """Yield each place that counts against a figure: file, line, reason."""
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS) and (length := length_of(node)) >= LONG:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines"
            if isinstance(node, ast.stmt) and (depth := max(statement_depths(node), default=0)) > DEEP:
                yield f"{path}:{node.lineno}: an expression is {depth} deep"
            if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
                line = getattr(node, "lineno", 1)
                if isinstance(node, FUNCTIONS) and not node.name.startswith("_") and not begins_with_a_verb(text):
                    yield f"{path}:{line}: the docstring of {node.name} begins with no verb"
                for word in sorted({*words_of(text)} & {*WORDS}):
                    yield f"{path}:{line}: a docstring says {word!r}"
        for line, comment in comments(path):
            for word in sorted({*words_of(comment)} & {*WORDS}):
                yield f"{path}:{line}: a comment says {word!r}"


def modules(folder: Path) -> list[Path]:
    """Return every Python file below a folder, sorted."""
    return sorted(folder.rglob("*.py"))


def structure(root: Path, trees: dict[Path, ast.Module]) -> dict[str, object]:
    """Return figures about modules, functions, statements and imports."""
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in trees if path.name != "__init__.py"]
    plain = [ast.parse(ast.unparse(tree)) for tree in trees.values()]  # formatted alike
    sizes = sorted(size for tree in plain for size in statement_sizes(tree))
    return {
        "rooms": {name: len(list(rooms(root / name))) for name in PACKAGES},
        "import_circles": len(circles(imports(root, trees))),
        "module_lines": {"median": statistics.median(lines), "longest": max(lines)},
        "functions": sum(isinstance(node, FUNCTIONS) for tree in trees.values() for node in ast.walk(tree)),
        f"functions_over_{LONG}_lines": sum(
            length_of(node) >= LONG for tree in trees.values() for node in ast.walk(tree) if isinstance(node, FUNCTIONS)
        ),
        "nodes_per_statement": {"median": statistics.median(sizes), "p95": sizes[int(0.95 * len(sizes))]},
        f"expressions_deeper_than_{DEEP}": sum(depth > DEEP for tree in plain for depth in expression_depths(tree)),
    }


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function, its decorators left out."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def rooms(package: Path) -> Iterator[Path]:
    """Yield modules and packages directly inside a package."""
    for path in package.iterdir():
        if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists():
            yield path


def statement_sizes(tree: ast.Module) -> Iterator[int]:
    """Yield the syntax nodes of each statement, without statements inside it and without docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            yield sum(1 for _ in inside(node))


def inside(statement: ast.AST) -> Iterator[ast.AST]:
    """Yield a statement and all nodes below it, but for statements."""
    yield statement
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, ast.stmt):
            yield from inside(child)


def expression_depths(tree: ast.Module) -> Iterator[int]:
    """Yield the nesting of each outermost expression of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            yield from statement_depths(node)


def statement_depths(statement: ast.stmt) -> Iterator[int]:
    """Yield the nesting of a statement's expressions: calls, operators, comprehensions, conditions in each other."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield nesting(child)


def nesting(node: ast.AST) -> int:
    """Return how deep expressions stand within each other.  Names, constants and attributes count for nothing."""
    counts = isinstance(node, ast.expr) and not isinstance(node, ast.Name | ast.Constant | ast.Attribute)
    return counts + max(map(nesting, ast.iter_child_nodes(node)), default=0)


def imports(root: Path, trees: dict[Path, ast.Module]) -> dict[str, set[str]]:
    """Return which module imports which when it is loaded."""
    names = {dotted(root, path): path for path in trees}
    arrows: dict[str, set[str]] = defaultdict(set)
    for name, path in names.items():
        for node in trees[path].body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    longer = f"{node.module}.{alias.name}"
                    arrows[name].add(longer if longer in names else node.module)
            elif isinstance(node, ast.Import):
                arrows[name] |= {alias.name for alias in node.names}
    return {name: arrows[name] & set(names) - {name} for name in names}


def dotted(root: Path, path: Path) -> str:
    """Return a module's name."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that import each other, directly or not."""
    reached: dict[str, set[str]] = {}
    for start in arrows:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for following in arrows[waiting.pop()] - seen:
                seen.add(following)
                waiting.append(following)
        reached[start] = seen
    found = {frozenset(other for other in reached[name] if name in reached[other]) for name in arrows}
    return [set(circle) for circle in found if len(circle) > 1]


def english(root: Path, trees: dict[Path, ast.Module]) -> dict[str, object]:
    """Return figures about docstrings, comments and docs."""
    docstrings = [text for tree in trees.values() for text in public_docstrings(tree) if text]
    prose = {
        "docstrings": " ".join(text for tree in trees.values() for text in all_docstrings(tree)),
        "comments": " ".join(text for path in trees for _, text in comments(path)),
        "docs": " ".join(plain(path) for path in sorted((root / "docs").rglob("*.md"))),
    }
    counted = {name: words_of(text) for name, text in prose.items()}
    begin = sum(map(begins_with_a_verb, docstrings))
    sentences = [len(sentence.split()) for sentence in re.split(r"(?<=[.!?:])\s+", prose["docs"]) if sentence.split()]
    return {
        "words_per_1000": {
            name: round(1000 * sum(word in WORDS for word in words) / max(1, len(words)), 1)
            for name, words in counted.items()
        },
        "public_docstrings": len(docstrings),
        "docstrings_that_begin_with_a_verb": round(begin / max(1, len(docstrings)), 3),
        "docs_mean_sentence": round(statistics.mean(sentences), 1) if sentences else None,
    }


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"[\w'-]+", text.lower())


def begins_with_a_verb(text: str) -> bool:
    """Return whether the first word is a verb of the list."""
    first = re.match(r"\W*([A-Za-z]+)", text)
    return first is not None and stem(first[1].lower()) in VERBS


def stem(word: str) -> str:
    """Return a verb's plain form: `returns` is `return`."""
    for ending, plain_ending in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("es", "e"), ("s", "")):
        if word.endswith(ending) and word.removesuffix(ending) + plain_ending in VERBS:
            return word.removesuffix(ending) + plain_ending
    return word


def public_docstrings(tree: ast.Module) -> Iterator[str]:
    """Yield docstrings of public functions and methods, empty where there is none."""
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS) and not node.name.startswith("_"):
            yield ast.get_docstring(node) or ""


def all_docstrings(tree: ast.Module) -> Iterator[str]:
    """Yield every docstring."""
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of comments, directives to tools left out."""
    with io.StringIO(path.read_text(encoding="utf-8")) as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type == tokenize.COMMENT and not re.match(r"#\s*(noqa|type:|fmt:)", token.string):
                yield token.start[0], token.string.lstrip("# ")


def plain(path: Path) -> str:
    """Return a page's running text: no code, no tables, no headings."""
    text = re.sub(r"```.*?```", " ", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    kept = [line for line in text.splitlines() if line.strip() and not re.match(r"\s*(\||#|!\[)", line)]
    joined = [
        line + ("." if re.match(r"\s*[-*\d]", after) and not line.rstrip().endswith((".", ":")) else "")
        for line, after in pairwise([*kept, ""])
    ]
    return re.sub(r"`[^`]*`", "code", " ".join(joined))


if __name__ == "__main__":
    main()
