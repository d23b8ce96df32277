"""The documentation says the same as the programs, and each page names its reader."""

import re
import statistics
import tomllib
from pathlib import Path

import pytest

from app.api.fast_route import UnsupportedMediaType
from app.api.problems import HTTP_ERRORS, STATUS, ApiError, problem
from app.api.schemas import ScoreReply
from app.scoring.files.options import KNOWN_COLUMNS, MISSING
from app.scoring.item import Item
from app.scoring.row_files import FORMATS
from app.scoring.score_file import COLUMNS
from benchmarks.english import running_text, share_of_words
from tests.reference_pages.modules import rooms
from tests.reference_pages.pages import FOLDER, PAGES
from training.config import TrainingConfig
from training.data.items import SUFFIXES

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
READER = re.compile(r"\AFor [^:.]+:.", re.DOTALL)
RAISED_ELSEWHERE = (*HTTP_ERRORS.values(), "UnknownHost", "DatabaseUnavailable", "InternalError")


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == PAGES[name](), "run python -m tests.reference_pages"


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_names_its_reader_first(page: Path) -> None:
    heading, _, text = page.read_text(encoding="utf-8").partition("\n\n")

    assert heading.startswith("# ")
    assert READER.match(text), "the first line is `For READER: the task.`"


def test_pages_are_plain_english() -> None:
    """Pages written by hand; the generated ones repeat docstrings."""
    text = " ".join(running_text(page) for page in DOCS if page.name not in PAGES)
    sentences = [sentence.split() for sentence in re.split(r"(?<=[.!?:])\s+", text) if sentence.split()]

    assert share_of_words(text) <= 1 / 1000
    assert statistics.mean(map(len, sentences)) <= 20


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_example_settings_are_accepted(page: Path) -> None:
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        TrainingConfig.model_validate(tomllib.loads(block))


def test_architecture_names_every_room() -> None:
    architecture = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    inside = [room.relative_to(ROOT) for room in rooms() if len(room.relative_to(ROOT).parts) > 1]

    assert [str(room) for room in inside if f"| `{room}` |" not in architecture] == []


def test_architecture_names_files_that_exist() -> None:
    architecture = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:app|training|benchmarks)/[\w/.]+)`", architecture)

    assert [name for name in named if not (ROOT / name).exists() and not (ROOT / f"{name}.py").exists()] == []


def test_data_files_page_names_every_format_column_and_word() -> None:
    data = (FOLDER / "data-files.md").read_text(encoding="utf-8")
    named = [*FORMATS, *SUFFIXES, *MISSING - {""}, *KNOWN_COLUMNS - {"verdict"}, *COLUMNS, *Item.model_fields]

    assert [name for name in named if f"`{name}`" not in data] == []


def test_errors_page_names_every_problem() -> None:
    errors = (FOLDER / "errors.md").read_text(encoding="utf-8")
    raised = [error.__name__ for error in ApiError.__subclasses__()]
    titles = [*raised, *STATUS, *RAISED_ELSEWHERE]
    types = [problem(title, 400, "").type.rpartition(":")[2] for title in titles]

    assert UnsupportedMediaType.__name__ in titles
    assert [name for name in types if f"`{name}`" not in errors] == []


def test_replies_page_names_every_field_of_a_score() -> None:
    replies = (FOLDER / "replies.md").read_text(encoding="utf-8")

    assert [name for name in ScoreReply.model_fields if f"`{name}`" not in replies] == []


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))

    assert [link for link in links if not (ROOT / link).is_file()] == []
