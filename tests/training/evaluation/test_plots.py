import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.training.evaluation.measured import a_live_item, a_row, figures_on
from training.evaluation.figures import ItemReport
from training.evaluation.plots import calibration, confusion, coverage, learning

SVG = "{http://www.w3.org/2000/svg}"
PLOTS: list[Callable[[ItemReport], str]] = [calibration, confusion, lambda own: coverage(own, "QWK")]
LABELS = ["a < b & c", "<script>alert(1)</script>", "a label longer than fourteen letters"]


def words(svg: str) -> list[str]:
    """Everything written in the plot, in order."""
    page = ElementTree.fromstring(svg)  # noqa: S314  # our own
    return ["".join(element.itertext()).strip() for element in page.iter(f"{SVG}text")]


@pytest.fixture
def found(tmp_path: Path) -> ItemReport:
    rows = [
        a_row(" ".join(["warm"] * (1 + number % 3)), 1 + number % 3 % 2, (2.0, 1.0 + number % 2))
        for number in range(40)
    ]
    return figures_on(a_live_item(tmp_path), rows)


@pytest.mark.parametrize("plot", PLOTS)
def test_a_plot_is_an_svg_that_can_be_read_and_names_its_axes(
    found: ItemReport, plot: Callable[[ItemReport], str]
) -> None:
    svg = plot(found)

    assert svg.startswith("<svg")
    assert svg.rstrip().endswith("</svg>")
    assert any(word in words(svg) for word in ("confidence", "machine", "share accepted, the surest first"))


@pytest.mark.parametrize("plot", PLOTS)
def test_the_same_figures_make_the_same_plot_and_tell_no_time(
    found: ItemReport, plot: Callable[[ItemReport], str]
) -> None:
    first, second = plot(found), plot(found)

    assert first == second
    assert not re.search(r"20\d\d-\d\d-\d\d", first)


def test_every_cell_of_the_confusion_is_written(found: ItemReport) -> None:
    """Besides the scores at both axes."""
    said = words(confusion(found))

    counts = [str(count) for row in found.confusion for count in row]
    for count in set(counts):
        assert said.count(count) >= counts.count(count)


def test_human_scores_go_down_and_machine_scores_to_the_right(found: ItemReport) -> None:
    counts = ((101, 102, 103, 104), (105, 106, 107, 108), (109, 110, 111, 112), (113, 114, 115, 116))
    page = ElementTree.fromstring(confusion(found.model_copy(update={"confusion": counts})))  # noqa: S314  # our own
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


def test_the_threshold_is_marked_where_there_is_one(found: ItemReport) -> None:
    without = found.model_copy(update={"threshold": None})

    assert "threshold" in words(calibration(found))
    assert "threshold" not in words(calibration(without))


def test_raters_are_marked_where_there_are_two(found: ItemReport) -> None:
    assert found.agreement is not None
    alone = found.model_copy(
        update={"agreement": found.agreement.model_copy(update={"human_qwk": None, "human_exact": None})}
    )

    assert "raters" in words(coverage(found, "QWK"))
    assert "raters" not in words(coverage(alone, "QWK"))


def test_what_is_accepted_at_the_threshold_is_marked_if_it_agrees_at_all(found: ItemReport) -> None:
    nothing = found.model_copy(update={"evidence": found.evidence.model_copy(update={"accepted": None})})

    assert "threshold" in words(coverage(found, "QWK"))
    assert "threshold" not in words(coverage(nothing, "QWK"))


def test_labels_are_text_and_long_ones_are_cut(tmp_path: Path) -> None:
    live = a_live_item(tmp_path, item={"scale": "nominal", "labels": LABELS})
    found = figures_on(live, [a_row("warm", 1), a_row("warm air", 0)])

    svg = confusion(found)

    assert "<script" not in svg
    said = words(svg)
    assert said.count("a < b & c") == 2  # at both axes
    assert "a label longe…" in said
    assert LABELS[2] not in said


def test_a_plot_of_one_response_is_drawn(tmp_path: Path) -> None:
    found = figures_on(a_live_item(tmp_path), [a_row("warm", 1)])

    assert found.coverage_curve == []  # QWK of one is undefined
    for plot in PLOTS:
        assert plot(found).startswith("<svg")


def test_the_learning_curve_names_its_axes(found: ItemReport) -> None:
    svg = learning(found.model_copy(update={"learning_curve": [(100, 0.5), (300, 0.8)]}), "QWK")

    assert {"marked responses", "QWK on dev, when trained"} <= set(words(svg))


@pytest.mark.parametrize("label", ["$_$", "$5 or $6", "5 % of x_1^2", "はい", "نعم", "🙂", "\\frac{1}{2}"])
def test_a_label_is_what_it_says_whatever_it_says(tmp_path: Path, label: str) -> None:
    """No mathematics is read into it, and a script that matplotlib has no letters of is the reader's browser's."""
    live = a_live_item(tmp_path, item={"scale": "nominal", "labels": [label, "other"]})

    said = words(confusion(figures_on(live, [a_row("warm", 1), a_row("warm air", 0)])))

    assert said.count(label) == 2


def test_of_many_scores_only_the_shades_are_shown(tmp_path: Path) -> None:
    live = a_live_item(tmp_path, item={"scale": "points", "max_score": 100})
    found = figures_on(live, [a_row("warm", 1), a_row("warm air", 77)])

    svg = confusion(found)

    assert len(svg) < 300_000
    assert "77" not in words(svg)


def test_raters_are_marked_by_the_figure_that_is_plotted(tmp_path: Path) -> None:
    """Of two who agree by chance alone QWK is 0, and the exact agreement of a half is another figure."""
    pairs = 8 * [(1.0, 1.0), (1.0, 2.0), (2.0, 1.0), (2.0, 2.0)]
    found = figures_on(a_live_item(tmp_path), [a_row("warm " * (1 + n % 3), 1, pair) for n, pair in enumerate(pairs)])
    assert found.agreement is not None
    assert (found.agreement.human_qwk, found.agreement.human_exact) == (0, 0.5)
    other = found.agreement.model_copy(update={"human_exact": 0.9})

    assert coverage(found, "QWK") == coverage(found.model_copy(update={"agreement": other}), "QWK")
    assert "raters" in words(coverage(found, "QWK"))
