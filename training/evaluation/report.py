"""The report of an evaluation: an HTML file that opens offline, and JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.scoring.agreement import Agreement
from app.scoring.files.output import ORIGIN_MARK
from app.scoring.gate import gate_table
from training.evaluation.item_report import ItemReport

EXACT = "exact agreement"
ATTACKS = {
    "characters": "random characters",
    "words": "words of good responses, drawn at random",
    "keywords": "lists of long words of good responses",
    "prompt": "a piece of the prompt or passage",
    "other_item": "good responses to another item",
    "begging": "pleas for marks",
    "shuffled": "good responses with shuffled words",
    "padding": "good responses between empty phrases",
    "adverb": "good responses with an adverb inserted",
    "negation": "good responses with their meaning reversed",
}
Line = tuple[str, ...]
Table = tuple[str, list[Line]]  # title, then the head and the rows


def write_json(path: Path, reports: Sequence[ItemReport]) -> None:
    """Write all figures as JSON, one object an item."""
    objects = [{ORIGIN_MARK: "evaluate"} | report.model_dump() for report in reports]
    content = json.dumps(objects, indent=1)
    path.write_text(content + "\n", encoding="utf-8")


def write_html(path: Path, reports: Sequence[ItemReport], source: str) -> None:
    """Write the report page; `source` is the name of the file of responses."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("training.evaluation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("report.html")
    views = [view(report) for report in reports]
    content = template.render(views=views, source=source, summary=summary(reports))
    path.write_text(content + "\n", encoding="utf-8")


def view(report: ItemReport) -> dict[str, Any]:
    """Return the variables of the template for one item."""
    tables = [agreement_table(report), *other_tables(report)]
    return {
        "report": report,
        "title": report.title or report.item_id,
        "passed": report.gate.passed,
        "gate": [("rule", "measured", "limit", ""), *gate_table(report.gate)],
        "plots": _plots(report),
        "tables": [(title, rows) for title, rows in tables if len(rows) > 1],
        "worst": worst_table(report),
    }


def _plots(report: ItemReport) -> list[tuple[str, str]]:
    """Return title and SVG of each plot that has data."""
    from training.evaluation import plots

    metric = metric_of(report)
    drawn = []
    if report.calibration:
        drawn.append(("Calibration", plots.calibration(report)))
    if report.coverage_curve:
        drawn.append(("Agreement of accepted scores", plots.coverage(report, metric)))
    if report.learning_curve:
        drawn.append(("Learning curve", plots.learning(report, metric)))
    if report.confusion:
        drawn.append(("Confusion", plots.confusion(report)))
    return drawn


def metric_of(report: ItemReport) -> str:
    """Return the name of the item's main metric: QWK, or exact agreement of labels without order."""
    return EXACT if report.agreement is not None and report.agreement.qwk is None else "QWK"


def summary(reports: Sequence[ItemReport]) -> list[Line]:
    """Return a row for each item, after the head."""
    head = ("item", "scored", "QWK", "exact", "RMSE", "SMD", "calibration error", "automatic at threshold",
            "n", "QWK of automatic", "gate", "mode")  # fmt: skip
    return [head, *map(_summary_row, reports)]


def _summary_row(report: ItemReport) -> Line:
    scored = report.responses - report.not_scorable - report.by_rule
    main = [getattr(report.agreement, name, None) for name in ("qwk", "exact", "rmse", "smd")]
    accepted = report.evidence.accepted
    automatic = None if accepted is None else accepted.agreement
    verdict = "passed" if report.gate.passed else f"not passed: {', '.join(report.gate.failed)}"
    return (
        report.title or report.item_id,
        f"{scored:,} of {report.responses:,}",
        *map(shown, main),
        shown(report.evidence.ece),
        "" if accepted is None else f"{accepted.share:.0%}",
        "" if automatic is None else f"{automatic.n:,}",
        "" if automatic is None else shown(automatic.qwk),
        verdict,
        report.mode,
    )


def agreement_table(report: ItemReport) -> Table:
    """Return agreement with the human score: each figure, its interval, and that of the raters."""
    title, head = "Agreement with the human score", ("", "machine", "95 % interval", "raters")
    agreement, evidence = report.agreement, report.evidence
    if agreement is None:
        return title, [head]
    figures = [
        ("QWK", agreement.qwk, "qwk", agreement.human_qwk),
        ("exact agreement", agreement.exact, "exact", agreement.human_exact),
        ("exact or adjacent", agreement.adjacent, "", None),
        ("macro-F1", agreement.macro_f1, "", None),
        ("RMSE", agreement.rmse, "rmse", agreement.human_rmse),
        ("MAE", agreement.mae, "", None),
        ("Pearson's r", agreement.pearson, "", None),
        ("standardised mean difference", agreement.smd, "smd", None),
        ("SD of machine / SD of human scores", report.sd_ratio, "", None),
        ("PRMSE of true scores", report.prmse, "", None),
        ("degradation from the raters' agreement", report.degradation, "", None),
        ("human scores inside prediction sets or intervals", evidence.coverage, "", None),
        ("mean size of prediction sets", evidence.set_size, "", None),
        ("calibration error of the confidence", evidence.ece, "", None),
    ]
    double = "" if agreement.human_n is None else f"{agreement.human_n:,}"
    counts = ("responses", f"{agreement.n:,}", "", double)
    rows = [
        (name, shown(value), _shown_interval(report, metric), shown(raters))
        for name, value, metric, raters in figures
        if value is not None
    ]
    return title, [head, counts, *rows]


def _shown_interval(report: ItemReport, metric: str) -> str:
    bounds = report.intervals.get(metric)
    return "" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def other_tables(report: ItemReport) -> list[Table]:
    """Return the tables after agreement; a table without data has only its head."""
    recalled = [(name, f"{recall.n:,}", shown(recall.recall)) for name, recall in report.evidence.recalls.items()]
    held = [(name.replace("_", " "), f"{share:.1%}") for name, share in report.flagged.items()]
    return [
        ("Recall of each score", [("score", "responses", "recall"), *recalled]),
        ("Held back or flagged", [("condition or flag", "responses"), *held]),
        _bands_table(report),
        _groups_table(report),
        _fairness_table(report),
        _attacks_table(report),
    ]


def _bands_table(report: ItemReport) -> Table:
    metric = metric_of(report)
    rows: list[Line] = [("", "responses", "machine less human", metric)]
    for band in report.bands:
        least, most = band.words
        difference, agreement = f"{band.mean_difference:+.3f}", _shown_metric(band.agreement, metric)
        rows.append((f"{least} to {most} words", f"{band.n:,}", difference, agreement))
    return "By length", rows


def _groups_table(report: ItemReport) -> Table:
    metric = metric_of(report)
    rows: list[Line] = [("", "responses", "difference of standardised means", "machine less human", metric)]
    for name, group in report.evidence.groups.items():
        difference, agreement = f"{group.mean_difference:+.3f}", _shown_metric(group.agreement, metric)
        rows.append((name, f"{group.n:,}", shown(group.dsm), difference, agreement))
    return "By group", rows


def _fairness_table(report: ItemReport) -> Table:
    rows: list[Line] = [
        ("", "overall score accuracy", "overall score difference", "conditional score difference"),
    ]
    for name, explained in report.fairness.items():
        accuracy, difference = explained.overall_score_accuracy, explained.overall_score_difference
        rows.append((name, shown(accuracy), shown(difference), shown(explained.conditional_score_difference)))
    return "Variance explained by group", rows


def _attacks_table(report: ItemReport) -> Table:
    rows: list[Line] = [("", "tried", "would stand", "without conditions", "")]
    for name, attack in report.evidence.attacks.items():
        shares = f"{attack.accepted:.0%}", f"{attack.unguarded:.0%}"
        kind = "junk" if attack.junk else "changed"
        rows.append((ATTACKS.get(name, name), f"{attack.n:,}", *shares, kind))
    return "Attacks", rows


def worst_table(report: ItemReport) -> list[Line]:
    """Return the largest disagreements, with their texts if the report has them."""
    if not report.worst:
        return []
    with_text = any(pair.response is not None for pair in report.worst)
    head: Line = ("response", "human", "machine", "confidence")
    rows: list[Line] = [(pair.id, pair.human, pair.machine, f"{pair.confidence:.2f}") for pair in report.worst]
    if with_text:
        texts = [pair.response or "" for pair in report.worst]
        return [(*head, "text"), *((*row, text) for row, text in zip(rows, texts, strict=True))]
    return [head, *rows]


def _shown_metric(agreement: Agreement | None, metric: str) -> str:
    """Return the main metric, or nothing if it is undefined, as QWK is of constant scores."""
    if agreement is None:
        return ""
    value = agreement.exact if metric == EXACT else agreement.qwk
    return shown(value)


def shown(value: float | None) -> str:
    """Return a figure with three decimals, or nothing if it is undefined."""
    return "" if value is None else f"{value:.3f}"
