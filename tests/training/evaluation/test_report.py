"""The report page: a single file that loads nothing, with all texts escaped."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from app.scoring.evidence import AttackFigures
from app.scoring.gate import Policy
from tests.tiny_teacher import NAME, SURE, VERSION
from tests.training.evaluation.measured import a_live_item, a_row, figures_on
from training.evaluation.item_report import ItemReport
from training.evaluation.report import summary, view, worst_table, write_html

TITLE = 'Heat, <b>bold</b> & "quoted" <script>alert(1)</script>'
WRITTEN = "<img src=x onerror=alert(2)> & so on"
LABELS: dict[str, Any] = {"scale": "nominal", "labels": ["<i>no idea</i>", "heat & air", "air moves"]}
GRADES: dict[str, Any] = {"scale": "continuous", "min_score": 1, "max_score": 6}
ROWS = [
    a_row(
        " ".join(["warm"] * (1 + number % 3)),
        1 + number % 3,
        (1.0 + number % 3, 1.0),
        school="<b>x</b>" if number % 2 else "y",
    )
    for number in range(60)
]


class Page(HTMLParser):
    """Parse a page: tags with their attributes, the text of every cell, and all text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.cells: list[str] = []
        self.text = ""
        self._inside = False
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag in ("td", "th"):
            self.cells.append("")
            self._inside = True

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._inside:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")


def html(folder: Path, *report: ItemReport, source: str = "dev.jsonl") -> str:
    write_html(folder / "report.html", report, source)
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write a report on points with a title, labels, grades and an item with a teacher; texts are shown."""
    folder = tmp_path_factory.mktemp("report")
    points = {"scale": "points", "max_score": 3, "title": TITLE}
    wrong = [a_row(WRITTEN, 0, name="<u>id</u>")]
    labels = [row for row in ROWS if row.value < 3] + [a_row("warm", 0), a_row("warm air", 0)]
    report = [
        figures_on(a_live_item(folder / "a", item=points), [*ROWS, *wrong], texts=True),
        figures_on(a_live_item(folder / "b", item=LABELS), labels),
        figures_on(a_live_item(folder / "c", item=GRADES), ROWS),
        figures_on(a_live_item(folder / "d", "unsure", SURE, threshold=SURE), ROWS),
    ]
    return html(folder, *report, source="<b>dev</b>.jsonl")


def test_page_has_no_scripts_or_external_resources(page: str) -> None:
    tags = Page(page).tags
    references = [
        value
        for _, attributes in tags
        for name, value in attributes.items()
        if name in ("src", "srcset", "href", "xlink:href", "data", "action", "poster", "background")
    ]

    assert {tag for tag, _ in tags}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "embed", "base", "form", "foreignobject", "video", "audio"}
    )
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert references
    assert all(re.fullmatch(r"#\w+|data:image/png;base64,[\w+/=\s]+", value) for value in references)
    assert all(re.fullmatch(r"#\w+", entry) for entry in re.findall(r"url\(\s*['\"]?([^)'\"]*)", page))
    assert "@import" not in page
    assert "javascript:" not in page


def test_page_holds_no_addresses_except_xml_namespaces(page: str) -> None:
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)

    assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"<]*", re.sub(r"base64,[^\"]*", "", without_namespaces)) == []


def test_texts_are_escaped(page: str) -> None:
    seen = Page(page)

    for markup in ("<b>", "<i>", "<u>", "<script", "<img"):
        assert markup not in page
    assert {TITLE, WRITTEN, "<u>id</u>", "<i>no idea</i>"} <= set(seen.cells)
    assert f"{TITLE}\n" in seen.text  # the head of its section
    assert "school=<b>x</b>" in set(seen.cells)
    assert "<b>dev</b>.jsonl" in seen.text


def test_every_item_has_plots_and_tables(page: str) -> None:
    seen = Page(page)

    assert [tag for tag, _ in seen.tags].count("h2") == 4
    assert page.count("<svg") == page.count("</svg>") == 3 + 3 + 2 + 3  # grades have no confusion
    for title, times in (
        ("Agreement with the human score", 4),
        ("Gate, on these responses", 4),
        ("By length", 4),
        ("By group", 4),
        ("Attacks", 4),
        ("Recall of each score", 3),
        ("Variance explained by group", 3),  # labels have no differences
    ):
        assert page.count(f"<h3>{title}</h3>") == times, title


def test_teacher_fallback_is_reported(page: str) -> None:
    said = " ".join(Page(page).text.split())

    assert said.count("came from a teacher") == 1
    [sentence] = re.findall(rf"[^.]*\({NAME}[^)]*\bunsure\)", said)
    assert re.search(r"\b40\b", sentence)
    assert VERSION.endswith("0000000a")


def right(rows: int) -> list[Any]:
    return [a_row(" ".join(["warm"] * (1 + number % 3)), 1 + number % 3) for number in range(rows)]


@pytest.mark.parametrize(
    ("rows", "marked"),
    [(60, "passed"), (30, "failed")],
)
def test_gate_verdict_comes_first(tmp_path: Path, rows: int, marked: str) -> None:
    report = figures_on(a_live_item(tmp_path), right(rows))

    page = html(tmp_path, report)

    assert re.findall(r'<span class="verdict (\w+)">[^<]+</span>', page) == [marked]
    cells = Page(page).cells
    assert ("FAILED" in cells) is (rows == 30)
    [_, row] = summary([report])
    assert ("marked responses" in row[-2]) is (rows == 30)


def test_every_gate_rule_is_shown_with_its_measured_value(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path), right(60))

    cells = Page(html(tmp_path, report)).cells

    assert len(report.gate.checks) == 10
    for check in report.gate.checks:
        place = cells.index(check.rule, cells.index("rule"))
        numbers = ["-" if number is None else f"{number:g}" for number in (check.measured, check.limit)]
        numbers[0] += "" if check.n is None or check.measured is None else f" (n = {check.n})"
        assert cells[place + 1 : place + 3] == numbers
        assert cells[place + 3].startswith("passed")


def test_page_holds_no_responses_unless_requested(tmp_path: Path) -> None:
    rows = [a_row("the canary sings", 0, name="r1"), a_row("zebra", 3, name="r2"), *right(10)]
    live = a_live_item(tmp_path)

    without, with_texts = (html(tmp_path, figures_on(live, rows, texts=texts)) for texts in (False, True))

    for text in ("canary", "zebra"):
        assert text not in without
        assert text in with_texts
    assert "<td>r1</td>" in without.replace(' class="text"', "")
    assert Page(without).cells.count("text") == 0
    assert Page(with_texts).cells.count("text") == 1


@pytest.mark.parametrize("texts", [False, True])
def test_worst_table_has_a_text_column_only_with_texts(tmp_path: Path, texts: bool) -> None:
    report = figures_on(a_live_item(tmp_path), [a_row("zebra", 3, name="r1"), *right(3)], texts=texts)

    assert worst_table(report) == [
        ("response", "human", "machine", "confidence", "text")[: 4 + texts],
        ("r1", "3", "1", "0.91", "zebra")[: 4 + texts],
    ]
    assert worst_table(figures_on(a_live_item(tmp_path / "b"), right(3), texts=texts)) == []


def test_intervals_are_shown_beside_their_figures(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path), ROWS)

    cells = Page(html(tmp_path, report)).cells

    place = [number for number, cell in enumerate(cells) if cell == "exact agreement"][-1]
    low, high = report.intervals["exact"]
    assert report.agreement is not None
    assert cells[place + 1 : place + 3] == [f"{report.agreement.exact:.3f}", f"{low:.3f} to {high:.3f}"]
    assert cells[place + 3] == f"{report.agreement.human_exact:.3f}"


def test_summary_has_one_row_per_item(tmp_path: Path) -> None:
    points = figures_on(a_live_item(tmp_path / "a"), right(60))
    grades = figures_on(a_live_item(tmp_path / "b", item=GRADES, mode="suggest"), ROWS)
    nothing = figures_on(a_live_item(tmp_path / "c"), [a_row(" ", 1)])

    head, *rows = summary([points, grades, nothing])

    assert {len(row) for row in rows} == {len(head)}
    of_points, of_grades, of_nothing = (dict(zip(head, row, strict=True)) for row in rows)
    assert (of_points["item"], of_points["scored"], of_points["QWK"]) == ("heat-1", "60 of 60", "1.000")
    assert (of_points["automatic at threshold"], of_points["mode"]) == ("100%", "auto")
    assert (of_grades["RMSE"], of_grades["mode"]) != ("", "auto")
    assert of_points["RMSE"] == ""
    assert (of_nothing["scored"], of_nothing["QWK"]) == ("0 of 1", "")
    assert of_nothing["gate"] == "not passed: marked responses"


def test_attacks_are_named_and_classified(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path), right(10))
    attacks = {
        "characters": AttackFigures(n=50, accepted=0.0, unguarded=0.5, junk=True),
        "shuffled": AttackFigures(n=40, accepted=0.25, unguarded=1.0, junk=False),
        "of a later time": AttackFigures(n=1, accepted=0.0, unguarded=0.0, junk=True),
    }
    changed = report.model_copy(update={"evidence": report.evidence.model_copy(update={"attacks": attacks})})

    cells = Page(html(tmp_path, changed)).cells

    place = cells.index("good responses with shuffled words")
    assert cells[place : place + 5] == [cells[place], "40", "25%", "100%", "changed"]
    assert {"random characters", "of a later time", "junk"} <= set(cells)


def test_item_without_scored_responses_is_on_the_page(tmp_path: Path) -> None:
    page = html(tmp_path, figures_on(a_live_item(tmp_path), [a_row(" ", 1), a_row("", 0, name="r2")]))

    assert 'class="verdict failed"' in page
    assert re.search(r"\b2 responses\b[^.]*\b2\b", " ".join(page.split()))
    assert "Furthest apart" not in page


def test_page_without_items_is_written(tmp_path: Path) -> None:
    assert "<h2>" not in html(tmp_path)


@pytest.mark.parametrize(("item", "name"), [(None, "QWK"), (LABELS, "exact agreement"), (GRADES, "QWK")])
def test_main_metric_depends_on_the_scale(tmp_path: Path, item: dict[str, Any] | None, name: str) -> None:
    rows = [row for row in ROWS if row.value < 3]
    entry = view(figures_on(a_live_item(tmp_path, item=item), rows))

    heads = {title: rows[0] for title, rows in entry["tables"]}
    assert heads["By length"][-1] == heads["By group"][-1] == name


def test_learning_curve_is_drawn_if_present(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path), right(10))
    with_curve = report.model_copy(update={"learning_curve": [(100, 0.5), (300, 0.8)]})

    assert "<figcaption>Learning curve</figcaption>" in html(tmp_path, with_curve)
    assert "Learning curve" not in html(tmp_path, report)


def test_overruled_gate_is_reported(tmp_path: Path) -> None:
    live = a_live_item(tmp_path, mode="auto", release=Policy(min_agreement=1.0))
    assert live.active.override

    page = html(tmp_path, figures_on(live, ROWS))

    assert f"{live.active.by}: {live.active.reason}" in page
    passed = a_live_item(tmp_path / "passed", mode="auto")
    assert "overruled" not in html(tmp_path, figures_on(passed, ROWS))


def test_band_with_constant_scores_has_no_qwk(tmp_path: Path) -> None:
    """All responses of the band have one score: exact agreement 1, QWK undefined."""
    tables = dict(view(figures_on(a_live_item(tmp_path), ROWS))["tables"])

    head, *bands = tables["By length"]
    assert head[-1] == "QWK"
    alike = [qwk for name, *_, qwk in bands if name in ("1 to 1 words", "2 to 2 words", "3 to 3 words")]
    assert alike
    assert set(alike) == {""}
