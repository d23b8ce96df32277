"""The page of modules, written from the first line of each module's docstring."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAD = """# Modules

For developers: every module of the code and its purpose, room by room.

[Architecture](../explanation/architecture.md) has the order of the rooms, and the way of a response and of a
training run through them.
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join("\n".join(section(folder)) + "\n" for folder in rooms())


def rooms() -> list[Path]:
    """Return every folder of app and training that holds modules, the packages themselves first."""
    files = [path for package in ("app", "training") for path in (ROOT / package).rglob("*.py")]
    return sorted({path.parent for path in files if path.stem != "__init__"})


def section(folder: Path) -> Iterator[str]:
    """Yield the lines of one room's table."""
    yield f"\n## {folder.relative_to(ROOT)}\n\n| module | purpose |\n|---|---|"
    for path in sorted(folder.glob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        purpose = docstring.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|").replace("<", "\\<")
        if path.stem != "__init__":
            yield f"| `{path.stem}` | {purpose} |"
