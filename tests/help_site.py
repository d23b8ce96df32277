"""The documentation built as `make docs` builds it, and its links."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

from tests.waiting import HANGS

ROOT = Path(__file__).parents[1]
ADDRESSES = ("href", "src", "action", "data", "poster")


def build(folder: Path, doctrees: Path) -> Path:
    """Build the site into a folder; a broken link is an error."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(doctrees), "docs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANGS, check=False)
    assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    """The addresses, anchors, inline scripts and event handlers of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.anchors: set[str] = set()
        self.inline: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the attributes of one tag."""
        given = {name: value or "" for name, value in attrs}
        self.addresses += [given[name] for name in ADDRESSES if name in given]
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self.inline += [name for name in given if name.startswith("on")]
        if tag == "script" and "src" not in given:
            self.inline.append(tag)
