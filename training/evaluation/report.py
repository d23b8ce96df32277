"""The evaluation for readers: one HTML file that opens offline, and JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.scoring.agreement import Agreement
from app.scoring.files.output import ORIGIN_MARK
from app.scoring.gate import gate_table
from training.evaluation.figures import ItemReport

EXACT = "exact agreement"
ATTACKS = {
    "characters": "random characters",
    "words": "words of good responses, drawn at random",
    "keywords": "lists of long words of good responses",
    "prompt": "a piece of the prompt or passage",
    "other_item": "good responses to another item",
    "begging": "asking for marks",
    "shuffled": "good responses, their words shuffled",
    "padding": "good responses between empty phrases",
    "adverb": "good responses with an adverb put in",
    "negation": "good responses with what they say turned round",
}


def write_json(path: Path, found: Sequence[ItemReport]) -> None:
    path.write_text(
        json.dumps([{ORIGIN_MARK: "evaluate"} | own.model_dump() for own in found], indent=1) + "\n", encoding="utf-8"
    )


def write_html(path: Path, found: Sequence[ItemReport], source: str) -> None:
    """`source`: the name of the file of responses."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("training.evaluation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    views = [view(own) for own in found]
    content = environment.get_template("report.html").render(views=views, source=source, summary=summary(found))
    path.write_text(content + "\n", encoding="utf-8")


def view(own: ItemReport) -> dict[str, Any]:
    from training.evaluation import plots

    metric = metric_of(own)
    drawn = []
    if own.calibration:
        drawn.append(("Calibration", plots.calibration(own)))
    if own.coverage_curve:
        drawn.append(("What may stand", plots.coverage(own, metric)))
    if own.learning_curve:
        drawn.append(("Learning curve", plots.learning(own, metric)))
    if own.confusion:
        drawn.append(("Confusion", plots.confusion(own)))
    return {
        "own": own,
        "title": own.title or own.item_id,
        "passed": own.gate.passed,
        "gate": [("rule", "measured", "limit", ""), *gate_table(own.gate)],
        "plots": drawn,
        "tables": [table for table in (agreement(own), *others(own)) if len(table[1]) > 1],
        "worst": worst(own),
    }


def metric_of(own: ItemReport) -> str:
    return EXACT if own.agreement is not None and own.agreement.qwk is None else "QWK"


def summary(found: Sequence[ItemReport]) -> list[tuple[str, ...]]:
    """A row an item, the head first."""
    rows: list[tuple[str, ...]] = [
        ("item", "scored", "QWK", "exact", "RMSE", "SMD", "calibration error", "automatic at threshold", "these",
         "QWK of these", "gate", "live")
    ]  # fmt: skip
    for own in found:
        a, accepted = own.agreement, own.evidence.accepted
        figures = ("qwk", "exact", "rmse", "smd")
        rows.append(
            (
                own.title or own.item_id,
                f"{own.responses - own.not_scorable - own.by_rule:,} of {own.responses:,}",
                *(shown(getattr(a, name)) if a else "" for name in figures),
                shown(own.evidence.ece),
                "" if accepted is None else f"{accepted.share:.0%}",
                f"{accepted.agreement.n:,}" if accepted and accepted.agreement else "",
                shown(accepted.agreement.qwk) if accepted and accepted.agreement else "",
                "passed" if own.gate.passed else f"not passed: {', '.join(own.gate.failed)}",
                own.mode,
            )
        )
    return rows


Table = tuple[str, list[tuple[str, ...]]]


def agreement(own: ItemReport) -> Table:
    a = own.agreement
    rows: list[tuple[str, ...]] = [("", "machine", "95 % interval", "raters")]
    if a is None:
        return "Agreement with the human score", rows
    rows.append(("responses", f"{a.n:,}", "", "" if a.human_n is None else f"{a.human_n:,}"))

    def row(title: str, value: float | None, name: str = "", raters: float | None = None) -> None:
        if value is not None:
            bounds = own.intervals.get(name)
            between = "" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"
            rows.append((title, shown(value), between, shown(raters)))

    row("QWK", a.qwk, "qwk", a.human_qwk)
    row("exact agreement", a.exact, "exact", a.human_exact)
    row("exact or adjacent", a.adjacent)
    row("macro-F1", a.macro_f1)
    row("RMSE", a.rmse, "rmse", a.human_rmse)
    row("MAE", a.mae)
    row("Pearson's r", a.pearson)
    row("standardised mean difference", a.smd, "smd")
    row("SD of machine / SD of human scores", own.sd_ratio)
    row("PRMSE, of true scores", own.prmse)
    row("below the raters' own agreement", own.degradation)
    row("human scores inside prediction sets or intervals", own.evidence.coverage)
    row("scores in a set, mean", own.evidence.set_size)
    row("calibration error of the confidence", own.evidence.ece)
    return "Agreement with the human score", rows


def others(own: ItemReport) -> list[Table]:
    """Tables of which some have no rows but their heads."""
    metric = metric_of(own)
    groups = [
        (name, f"{g.n:,}", shown(g.dsm), f"{g.mean_difference:+.3f}", _shown_of(g.agreement, metric))
        for name, g in own.evidence.groups.items()
    ]
    fair = [
        (name, *map(shown, (f.overall_score_accuracy, f.overall_score_difference, f.conditional_score_difference)))
        for name, f in own.fairness.items()
    ]
    bands = [
        (
            f"{b.words[0]} to {b.words[1]} words",
            f"{b.n:,}",
            f"{b.mean_difference:+.3f}",
            _shown_of(b.agreement, metric),
        )
        for b in own.bands
    ]
    tried = [
        (
            ATTACKS.get(name, name),
            f"{a.n:,}",
            f"{a.accepted:.0%}",
            f"{a.unguarded:.0%}",
            "junk" if a.junk else "changed",
        )
        for name, a in own.evidence.attacks.items()
    ]
    recalled = [(name, f"{r.n:,}", shown(r.recall)) for name, r in own.evidence.recalls.items()]
    held = [(name.replace("_", " "), f"{share:.1%}") for name, share in own.flagged.items()]
    return [
        ("Recall of each score", [("score", "responses", "recall"), *recalled]),
        ("Held back or flagged", [("condition or flag", "responses"), *held]),
        ("By length", [("", "responses", "machine less human", metric), *bands]),
        (
            "By group",
            [("", "responses", "difference of standardised means", "machine less human", metric), *groups],
        ),
        ("Variance explained by group", [("", "squared difference", "difference", "beyond the human score"), *fair]),
        ("Attacks", [("", "tried", "would stand", "without conditions", ""), *tried]),
    ]


def worst(own: ItemReport) -> list[tuple[str, ...]]:
    with_text = any(d.response is not None for d in own.worst)
    head = ("response", "human", "machine", "confidence", *(("text",) if with_text else ()))
    rows = [(d.id, d.human, d.machine, f"{d.confidence:.2f}", d.response or "")[: len(head)] for d in own.worst]
    return [head, *rows] if rows else []


def _shown_of(a: Agreement | None, metric: str) -> str:
    """Nothing where nothing can be said, as of QWK where all scores are the same."""
    return "" if a is None else shown(a.exact if metric == EXACT else a.qwk)


def shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
