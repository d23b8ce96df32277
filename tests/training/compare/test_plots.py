import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from tests.training.compare.sections import a_row, a_section
from training.compare.plots import against_size, against_time
from training.compare.section import HUMAN, Section

STUDENT = a_row("student", "the student", parameters=20_000, alone_ms=0.25)
TEACHER = a_row("teacher", "its teacher", 0.8, parameters=20_000_000, alone_ms=8)
RATERS = a_row(HUMAN, "raters", 0.85, parameters=None)


def words(svg: str) -> list[str]:
    """Return all text of the plot, in order."""
    page = ElementTree.fromstring(svg)  # noqa: S314  # our own
    return ["".join(element.itertext()).strip() for element in page.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("plot", [against_size, against_time])
def test_every_contestant_with_a_cost_is_plotted(plot: Callable[[Section], str]) -> None:
    constant = a_row("constant", "the commonest score", 0.0, parameters=4)

    svg = plot(a_section(STUDENT, TEACHER, constant, RATERS))

    assert svg.startswith("<svg")
    assert {"the student", "its teacher", "human raters", "QWK"} <= set(words(svg))
    assert "the commonest score" not in words(svg)


def test_titles_are_escaped() -> None:
    svg = against_size(a_section(STUDENT.model_copy(update={"title": "a < b & <script>"})))

    assert "a < b & <script>" in words(svg)
    assert "<script" not in svg


def test_plots_are_reproducible() -> None:
    first, second = (against_time(a_section(STUDENT, TEACHER, RATERS)) for _ in range(2))

    assert first == second
    assert not re.search(r"20\d\d-\d\d-\d\d", first)


def test_figure_outside_its_interval_is_drawn() -> None:
    """Rounding may put a figure there, and bootstrap intervals of small items lie below their figures."""
    beyond = STUDENT.model_copy(update={"figure": 0.7, "interval": (0.6, 0.7 - 1e-12)})

    assert "the student" in words(against_size(a_section(beyond)))


def test_no_times_leave_only_the_plot_of_sizes() -> None:
    untimed = a_section(a_row("student", "the student"), a_row("constant", "the commonest score", 0.0), RATERS)

    assert against_time(untimed) == ""
    assert "the student" in words(against_size(untimed))
    assert "the commonest score" not in words(against_size(untimed))
