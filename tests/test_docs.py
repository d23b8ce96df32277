"""What the documentation says of the programs is what they say themselves."""

import re
import tomllib
from pathlib import Path

import pytest

from app.scoring.files.options import KNOWN_COLUMNS, MISSING
from app.scoring.item import Item
from app.scoring.row_files import FORMATS
from app.scoring.score_file import COLUMNS
from tests.reference_pages.pages import FOLDER, PAGES
from training.config import Config, TrainingConfig
from training.data.items import SUFFIXES
from training.feedback.config import FeedbackConfig

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run python -m tests.reference_pages"


@pytest.mark.parametrize(("name", "config"), [("training", TrainingConfig()), ("feedback", FeedbackConfig())])
def test_the_settings_shown_are_the_defaults(name: str, config: Config) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / f"{name}.md").read_text(), re.DOTALL)

    shown = tomllib.loads(block)

    defaults = config.model_dump(mode="json")
    for key, value in shown.items():
        assert (value.items() <= defaults[key].items()) if isinstance(value, dict) else value == defaults[key]


def test_the_map_names_every_module_of_the_scoring_core() -> None:
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    modules = [path.stem for path in (ROOT / "app" / "scoring").rglob("*.py") if path.stem != "__init__"]

    assert [name for name in modules if name not in architecture] == []


def test_the_page_of_data_files_names_every_format_column_and_word() -> None:
    data = (ROOT / "docs" / "data.md").read_text()
    named = [*FORMATS, *SUFFIXES, *MISSING - {""}, *KNOWN_COLUMNS - {"verdict"}, *COLUMNS, *Item.model_fields]

    assert [name for name in named if f"`{name}`" not in data] == []
