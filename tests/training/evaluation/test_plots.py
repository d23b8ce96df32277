import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.training.evaluation.measured import a_live_item, a_row, figures_on
from training.evaluation.item_report import ItemReport
from training.evaluation.plots import calibration, confusion, coverage, learning

SVG = "{http://www.w3.org/2000/svg}"
PLOTS: list[Callable[[ItemReport], str]] = [calibration, confusion, lambda report: coverage(report, "QWK")]
LABELS = ["a < b & c", "<script>alert(1)</script>", "a label longer than fourteen letters"]


def words(svg: str) -> list[str]:
    """Return all text of the plot, in order."""
    page = ElementTree.fromstring(svg)  # noqa: S314  # written here
    return ["".join(element.itertext()).strip() for element in page.iter(f"{SVG}text")]


@pytest.fixture
def report(tmp_path: Path) -> ItemReport:
    rows = [
        a_row(" ".join(["warm"] * (1 + number % 3)), 1 + number % 3 % 2, (2.0, 1.0 + number % 2))
        for number in range(40)
    ]
    return figures_on(a_live_item(tmp_path), rows)


@pytest.mark.parametrize("plot", PLOTS)
def test_plot_is_a_valid_svg_with_named_axes(report: ItemReport, plot: Callable[[ItemReport], str]) -> None:
    svg = plot(report)

    assert svg.startswith("<svg")
    assert svg.rstrip().endswith("</svg>")
    assert any(word in words(svg) for word in ("confidence", "machine", "share accepted, the surest first"))


@pytest.mark.parametrize("plot", PLOTS)
def test_plots_are_reproducible_and_undated(report: ItemReport, plot: Callable[[ItemReport], str]) -> None:
    first, second = plot(report), plot(report)

    assert first == second
    assert not re.search(r"20\d\d-\d\d-\d\d", first)


def test_every_cell_of_the_confusion_is_labelled(report: ItemReport) -> None:
    """The counts come besides the scores at both axes."""
    said = words(confusion(report))

    counts = [str(count) for row in report.confusion for count in row]
    for count in set(counts):
        assert said.count(count) >= counts.count(count)


def test_confusion_has_human_rows_and_machine_columns(report: ItemReport) -> None:
    counts = ((101, 102, 103, 104), (105, 106, 107, 108), (109, 110, 111, 112), (113, 114, 115, 116))
    page = ElementTree.fromstring(confusion(report.model_copy(update={"confusion": counts})))  # noqa: S314  # written here
    places = {
        "".join(element.itertext()).strip(): (float(element.attrib["x"]), float(element.attrib["y"]))
        for element in page.iter(f"{SVG}text")
        if "x" in element.attrib
    }

    across = [[places[str(count)][0] for count in row] for row in counts]
    down = [[places[str(count)][1] for count in row] for row in counts]
    for row in range(4):
        assert across[row] == sorted(set(across[row]))  # ascending
        assert down[row] == pytest.approx([down[row][0]] * 4)
        assert row == 0 or down[row][0] > down[row - 1][0]


def test_threshold_is_marked_if_present(report: ItemReport) -> None:
    without = report.model_copy(update={"threshold": None})

    assert "threshold" in words(calibration(report))
    assert "threshold" not in words(calibration(without))


def test_agreement_of_raters_is_marked_if_present(report: ItemReport) -> None:
    assert report.agreement is not None
    alone = report.model_copy(
        update={"agreement": report.agreement.model_copy(update={"human_qwk": None, "human_exact": None})}
    )

    assert "raters" in words(coverage(report, "QWK"))
    assert "raters" not in words(coverage(alone, "QWK"))


def test_accepted_share_is_marked_if_agreement_is_defined(report: ItemReport) -> None:
    nothing = report.model_copy(update={"evidence": report.evidence.model_copy(update={"accepted": None})})

    assert "threshold" in words(coverage(report, "QWK"))
    assert "threshold" not in words(coverage(nothing, "QWK"))


def test_long_labels_are_truncated(tmp_path: Path) -> None:
    live = a_live_item(tmp_path, item={"scale": "nominal", "labels": LABELS})
    report = figures_on(live, [a_row("warm", 1), a_row("warm air", 0)])

    svg = confusion(report)

    assert "<script" not in svg
    said = words(svg)
    assert said.count("a < b & c") == 2  # at both axes
    assert "a label longe…" in said
    assert LABELS[2] not in said


def test_single_response_is_plotted(tmp_path: Path) -> None:
    report = figures_on(a_live_item(tmp_path), [a_row("warm", 1)])

    assert report.coverage_curve == []  # QWK of one is undefined
    for plot in PLOTS:
        assert plot(report).startswith("<svg")


def test_learning_curve_names_its_axes(report: ItemReport) -> None:
    svg = learning(report.model_copy(update={"learning_curve": [(100, 0.5), (300, 0.8)]}), "QWK")

    assert {"marked responses", "QWK on dev, at training"} <= set(words(svg))


@pytest.mark.parametrize("label", ["$_$", "$5 or $6", "5 % of x_1^2", "はい", "نعم", "🙂", "\\frac{1}{2}"])
def test_labels_are_never_parsed_as_mathematics(tmp_path: Path, label: str) -> None:
    """Matplotlib parses no mathematics, and leaves a script that it has no glyphs of to the browser."""
    live = a_live_item(tmp_path, item={"scale": "nominal", "labels": [label, "other"]})

    said = words(confusion(figures_on(live, [a_row("warm", 1), a_row("warm air", 0)])))

    assert said.count(label) == 2


def test_large_confusion_shows_only_shades(tmp_path: Path) -> None:
    live = a_live_item(tmp_path, item={"scale": "points", "max_score": 100})
    report = figures_on(live, [a_row("warm", 1), a_row("warm air", 77)])

    svg = confusion(report)

    assert len(svg) < 300_000
    assert "77" not in words(svg)


def test_agreement_of_raters_is_of_the_plotted_metric(tmp_path: Path) -> None:
    """Raters agree by chance alone: QWK 0, exact agreement a half."""
    pairs = 8 * [(1.0, 1.0), (1.0, 2.0), (2.0, 1.0), (2.0, 2.0)]
    report = figures_on(a_live_item(tmp_path), [a_row("warm " * (1 + n % 3), 1, pair) for n, pair in enumerate(pairs)])
    assert report.agreement is not None
    assert (report.agreement.human_qwk, report.agreement.human_exact) == (0, 0.5)
    other = report.agreement.model_copy(update={"human_exact": 0.9})

    assert coverage(report, "QWK") == coverage(report.model_copy(update={"agreement": other}), "QWK")
    assert "raters" in words(coverage(report, "QWK"))
