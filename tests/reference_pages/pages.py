"""The generated pages of docs/reference and the function that writes each."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.reference_pages import bundle_format, commands, metrics, modules, python_api, settings, training_settings

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "bundle-format.md": bundle_format.page,
    "commands.md": commands.page,
    "metrics.md": metrics.page,
    "modules.md": modules.page,
    "python-scoring.md": partial(python_api.page, "app/scoring"),
    "python-training.md": partial(python_api.page, "training"),
    "settings.md": settings.page,
    "training-settings.md": training_settings.page,
}
