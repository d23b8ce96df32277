"""The generated pages of docs/reference and the function that writes each."""

from collections.abc import Callable
from pathlib import Path

from tests.reference_pages import commands

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES: dict[str, Callable[[], str]] = {"commands.md": commands.page}
