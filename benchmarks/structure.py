"""Measure the structure and the English of the code: `python -m benchmarks.structure [ROOT]`.

The figures: rooms, import circles, lengths of modules and functions, syntax nodes per statement, nesting of
expressions, and those of benchmarks/english.py.  Formatting does not matter, because every tree is unparsed first.
`--list PART` prints every place that counts against a figure, in files whose path contains PART.
"""

import argparse
import ast
import json
import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.english import (
    DOCUMENTED,
    FUNCTIONS,
    PACKAGES,
    begins_with_a_verb,
    comments,
    english,
    forbidden_words,
    is_public_function,
    modules,
)

DEEP = 4  # deepest nesting of an expression that does not count
LONG = 40  # lines of a function that count as long


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the structure and the English of the code.")
    parser.add_argument("root", nargs="?", type=Path, default=Path())
    parser.add_argument("--list", metavar="PART", help="print places in files whose path contains PART")
    arguments = parser.parse_args()
    root: Path = arguments.root
    paths = [path for name in PACKAGES for path in modules(root / name)]
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    if arguments.list is not None:
        chosen = {path: tree for path, tree in trees.items() if arguments.list in str(path)}
        print(*sorted(places(chosen)), sep="\n")
        return
    print(json.dumps(structure(root, trees) | english(root, trees), indent=2))


def places(trees: dict[Path, ast.Module]) -> Iterator[str]:
    """Yield each place that counts against a figure: file, line, reason."""
    for path, tree in trees.items():
        for node in ast.walk(tree):
            for reason in faults_of(node):
                yield f"{path}:{getattr(node, 'lineno', 1)}: {reason}"
        for line, comment in comments(path):
            for word in forbidden_words(comment):
                yield f"{path}:{line}: a comment says {word!r}"


def faults_of(node: ast.AST) -> Iterator[str]:
    """Yield the reasons for which a syntax node counts against a figure."""
    if isinstance(node, FUNCTIONS) and length_of(node) >= LONG:
        yield f"{node.name} has {length_of(node)} lines"
    if isinstance(node, ast.stmt):
        depth = max(statement_depths(node), default=0)
        if depth > DEEP:
            yield f"an expression is {depth} deep"
    if isinstance(node, DOCUMENTED):
        text = ast.get_docstring(node) or ""
        if text and is_public_function(node) and not begins_with_a_verb(text):
            yield f"the docstring of {node.name} begins with no verb"
        for word in forbidden_words(text):
            yield f"a docstring says {word!r}"


def structure(root: Path, trees: dict[Path, ast.Module]) -> dict[str, object]:
    """Return figures about modules, functions, statements and imports."""
    lines = [count_lines(path) for path in trees if path.name != "__init__.py"]
    functions = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    unformatted = [ast.parse(ast.unparse(tree)) for tree in trees.values()]
    sizes = sorted(size for tree in unformatted for size in statement_sizes(tree))
    depths = [depth for tree in unformatted for depth in expression_depths(tree)]
    p95 = int(0.95 * len(sizes))
    return {
        "rooms": {name: len(list(rooms(root / name))) for name in PACKAGES},
        "import_circles": len(circles(imports(root, trees))),
        "module_lines": {"median": statistics.median(lines), "longest": max(lines)},
        "functions": len(functions),
        f"functions_over_{LONG}_lines": sum(length_of(function) >= LONG for function in functions),
        "nodes_per_statement": {"median": statistics.median(sizes), "p95": sizes[p95]},
        f"expressions_deeper_than_{DEEP}": sum(depth > DEEP for depth in depths),
    }


def count_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of a function, without its decorators."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def rooms(package: Path) -> Iterator[Path]:
    """Yield modules and packages directly inside a package."""
    for path in package.iterdir():
        is_module = path.suffix == ".py" and path.stem != "__init__"
        if is_module or (path / "__init__.py").exists():
            yield path


def statement_sizes(tree: ast.Module) -> Iterator[int]:
    """Yield the number of syntax nodes of each statement but docstrings, without the statements inside it."""
    for node in ast.walk(tree):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and not is_docstring:
            yield sum(1 for _ in inside(node))


def inside(statement: ast.AST) -> Iterator[ast.AST]:
    """Yield a statement and all nodes below it but other statements."""
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
    """Yield the nesting of each expression of a statement: calls, operators, comprehensions and conditions."""
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr):
            yield nesting(child)


def nesting(node: ast.AST) -> int:
    """Return the depth of nested expressions.  Names, constants and attributes do not count."""
    counts = isinstance(node, ast.expr) and not isinstance(node, ast.Name | ast.Constant | ast.Attribute)
    children = map(nesting, ast.iter_child_nodes(node))
    return counts + max(children, default=0)


def imports(root: Path, trees: dict[Path, ast.Module]) -> dict[str, set[str]]:
    """Return the modules that each module imports when it is loaded."""
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
    """Return a module's dotted name."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that import each other, directly or through others."""
    reached: dict[str, set[str]] = {}
    for start in arrows:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for following in arrows[waiting.pop()] - seen:
                seen.add(following)
                waiting.append(following)
        reached[start] = seen
    mutual = {frozenset(_mutual(name, reached)) for name in arrows}
    return [set(circle) for circle in mutual if len(circle) > 1]


def _mutual(name: str, reached: dict[str, set[str]]) -> set[str]:
    """Return the modules that a module reaches and that reach it."""
    return {other for other in reached[name] if name in reached[other]}


if __name__ == "__main__":
    main()
