"""The pages of public functions and classes, written from their source: nothing is imported."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADS = {
    "app/scoring": """# Python: app.scoring

For developers: the public functions and classes of the shared core.

```python
from pathlib import Path

from app.scoring.registry import Registry

live = Registry.from_folder(Path("models")).get("demo-drying-towel")
[judgement] = live.judge(["the wind takes the damp air away"])
print(judgement.score, judgement.decision)
```
""",
    "training": """# Python: training

For developers: the public functions and classes of the training program.

```python
from pathlib import Path

from training.config import TrainingConfig
from training.data import read_data
from training.pipeline.run import train

data = read_data(Path("build/demo"))
items = [data.of(item_id) for item_id in data.items]
for bundle in train(items, Path("models"), TrainingConfig(), Path("build/cache")):
    print(bundle.item.item_id, bundle.version)
```
""",
}
COMMANDS = {"cli", "__main__"}  # docs/reference/commands.md has them
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
SECTION = re.compile(r"^(Args|Raises):\n((?: {4}.*\n?)+)", re.MULTILINE)


def page(package: str) -> str:
    """Return the page of a package."""
    paths = [path for path in sorted((ROOT / package).rglob("*.py")) if not COMMANDS & {*path.parts, path.stem}]
    sections = [section for path in paths for section in module(path)]
    return HEADS[package] + "\n" + "\n".join(sections)


def module(path: Path) -> Iterator[str]:
    """Yield the section of a module that has a public function or class with a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    entries = [entry for node in tree.body for entry in documented(node)]
    if entries:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield f"## {name}\n\n" + "\n".join(entries)


def documented(node: ast.AST, owner: str = "") -> Iterator[str]:
    """Yield the entry of a public function or class and those of its public methods."""
    if not isinstance(node, FUNCTIONS | ast.ClassDef) or node.name.startswith("_"):
        return
    name = f"{owner}{node.name}"
    if text := ast.get_docstring(node):
        yield f"```python\n{signature(node, name)}\n```\n\n{plain(text)}\n"
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            yield from documented(child, f"{name}.")


def signature(node: FUNCTIONS | ast.ClassDef, name: str) -> str:
    """Return the first line of a definition."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        return f"class {name}({bases})" if bases else f"class {name}"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{name}({ast.unparse(node.args)}){returns}"


def plain(docstring: str) -> str:
    """Return a docstring as Markdown: its sections become lists, and nothing else reads as mark-up."""
    lines = [escaped(line) for line in docstring.splitlines()]
    return re.sub(r"^    (\S+): ", r"- `\1`: ", "\n".join(lines), flags=re.MULTILINE).replace("    ", "  ")


def escaped(line: str) -> str:
    """Return a line whose characters outside code mean themselves; names of a section stand in code already."""
    if named := re.match(r"    \S+: ", line):
        return named[0] + escaped(line[named.end() :])
    pieces = line.split("`")
    pieces[::2] = [re.sub(r"([<*_])", r"\\\1", piece) for piece in pieces[::2]]
    return "`".join(pieces)
