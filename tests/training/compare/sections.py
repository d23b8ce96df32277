"""Sections of a comparison, written by hand."""

from training.compare.section import Cost, Kind, Section, TableRow


def a_row(
    name: str, title: str, figure: float = 0.7, *, parameters: float | None = 100, alone_ms: float | None = None
) -> TableRow:
    """Return a row, with costs in float32 and int8 if a time is given; the figure is lower on the timed items."""
    costs = {}
    if alone_ms is not None:
        costs = {
            "float32": Cost(bytes=4000, alone_ms=alone_ms, batched_ms=alone_ms / 2, figure=figure - 0.1),
            "int8": Cost(bytes=1234, alone_ms=alone_ms / 4, batched_ms=alone_ms / 8, figure=figure - 0.111),
        }
    return TableRow(
        name=name,
        title=title,
        figure=figure,
        interval=(figure - 0.1, figure + 0.1),
        seeds=[figure],
        accuracy=0.61,
        macro_f1=0.62,
        parameters=parameters,
        minutes=None if parameters is None else 2.5,
        costs=costs,
        items={"heat-1": figure, "heat-2": None},
    )


def a_section(*rows: TableRow, kind: Kind = "ordered", metric: str = "QWK") -> Section:
    return Section(kind=kind, metric=metric, items=2, rows=80, settings=1, contestants=list(rows))
