import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from app.scoring.files.output import ORIGIN_MARK
from tests.refusals import refused
from tests.training.compare.sections import a_row, a_section
from training.compare.report import BadFormat, html, markdown, write_report
from training.compare.section import HUMAN, Section

TITLE = 'the student, <b>full</b> & "quoted"'


def some_sections() -> list[Section]:
    student = a_row("student", TITLE, 0.712, parameters=21_345, alone_ms=0.25)
    teacher = a_row("teacher", "its teacher", 0.803, parameters=11_000_000, alone_ms=8)
    teacher.student_less_this, teacher.student_less_this_interval = -0.091, (-0.12, -0.05)
    constant = a_row("constant", "the commonest score", 0.0, parameters=4)
    raters = a_row(HUMAN, "one rater against the other", 0.85, parameters=None)
    grades = a_section(student.model_copy(), kind="grades", metric="RMSE on a scale of 5")
    return [a_section(constant, student, teacher, raters), grades]


class Page(HTMLParser):
    """Parse a page: tags with their attributes, and the text of every cell."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.cells: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.cells.append("")


@pytest.fixture(scope="module")
def page() -> str:
    return html(some_sections())


def test_page_loads_nothing(page: str) -> None:
    names = {tag for tag, _ in Page(page).tags}
    references = [
        value
        for _, attributes in Page(page).tags
        for name, value in attributes.items()
        if name in ("src", "srcset", "href", "xlink:href", "data", "action", "poster") or "url(" in value
    ]

    assert names.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "base", "form"})
    assert all(re.fullmatch(r"#\w+|url\(#\w+\)", value) or "url(http" not in value for value in references)
    assert not any(value.startswith(("http", "//")) for value in references)
    assert "@import" not in page


def test_page_holds_no_addresses_except_xml_namespaces(page: str) -> None:
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)

    assert re.findall(r"https?://[^\s\"<]*", without_namespaces) == []


def test_every_contestant_is_on_the_page_with_an_escaped_title(page: str) -> None:
    cells = Page(page).cells

    assert "<b>" not in page
    assert {row.title for row in some_sections()[0].contestants} <= {cell.strip() for cell in cells}
    assert cells.count(TITLE) >= 2


def test_student_is_highlighted(page: str) -> None:
    marked = re.findall(r'<tr class="ours"><td>([^<]*)</td>', page)

    assert marked
    assert len(set(marked)) == 1


def test_each_section_has_a_heading_and_plots(page: str) -> None:
    assert page.count("<svg") == page.count("</svg>") == 4
    heads = re.findall(r"<h2>(.*?)</h2>", page, re.DOTALL)
    assert len(heads) == len(some_sections())
    for section, head in zip(some_sections(), heads, strict=True):
        assert section.metric in head
        assert re.findall(r"\b\d+ \w+", head)[-2:] == ["2 items", "80 responses"]


def test_rows_hold_the_figures_of_their_contestant() -> None:
    cells = [
        line.strip("| ").split(" | ")
        for line in markdown(some_sections()).splitlines()
        if line.startswith("| its teacher")
    ]

    said = {cell.strip() for row in cells for cell in row}
    assert {"0.803", "[0.703, 0.903]", "-0.091 [-0.120, -0.050]", "0.610", "0.620"} <= said
    assert {"11,000,000", "4,000", "8", "4", "1,234", "-0.011", "2", "1", "2.5"} <= said


def test_markdown_tables_are_rectangular() -> None:
    tables: list[list[str]] = [[]]
    for line in markdown(some_sections()).splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    tables = [table for table in tables if table]

    assert len(tables) >= 4  # two or more a section
    for table in tables:
        assert len({line.count("|") for line in table}) == 1
        assert set(table[1]) <= set("|-")
        assert len(table) > 2


def test_undefined_figure_of_an_item_is_blank() -> None:
    [line] = [line for line in markdown(some_sections()[:1]).splitlines() if line.startswith("| heat-2")]

    assert set(line.removeprefix("| heat-2")) == {" ", "|"}


def test_json_holds_the_figures(tmp_path: Path) -> None:
    write_report(tmp_path / "report.json", some_sections())

    read = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert {section.pop(ORIGIN_MARK) for section in read} == {"compare"}
    assert [Section.model_validate(section) for section in read] == some_sections()


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.html", "<!doctype html>"), ("a.md", f"<!-- {ORIGIN_MARK} -->\n\n## QWK"), ("a.json", "[\n")],
)
def test_suffix_decides_the_format(tmp_path: Path, name: str, begins: str) -> None:
    write_report(tmp_path / name, some_sections())

    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)


@pytest.mark.parametrize("name", ["report.pdf", "report", "report.html.gz"])
def test_unknown_format_is_refused(tmp_path: Path, name: str) -> None:
    with refused(BadFormat, name=name):
        write_report(tmp_path / name, some_sections())

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.html", "a.md", "a.json"])
def test_no_results_make_an_empty_report(tmp_path: Path, name: str) -> None:
    write_report(tmp_path / name, [])

    assert (tmp_path / name).is_file()
