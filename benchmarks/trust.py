"""Print the tables of docs/results/trust.md: the figures of live bundles on dev.

scorelet-train run --data DIR --models MODELS --export-teacher
python -m benchmarks.trust --models MODELS
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from app.scoring.bundle import Bundle
from app.scoring.decision import LiveItem
from app.scoring.evidence import AttackFigures
from app.scoring.registry import Registry


def main(models: Annotated[Path, typer.Option(help="Folder of live bundles.")]) -> None:
    live = Registry.from_folder(models).live
    item_ids = sorted(live, key=lambda item_id: (len(item_id), item_id))
    print(
        "| item (dev rows) | QWK | raters | calibration error | in sets of | may stand | QWK of these (asked) | gate |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for item_id in item_ids:
        print(f"| {item_id} {item_cells(live[item_id])} |")
    bundles = [live[item_id].bundle for item_id in item_ids if live[item_id].bundle.agreement is not None]
    print(f"\n{overall(bundles)}")
    print("\n| attack | texts | would stand | without conditions |\n|---|---|---|---|")
    figures_of: dict[str, list[AttackFigures]] = defaultdict(list)
    for bundle in bundles:
        for attack, figures in bundle.evidence.attacks.items():
            figures_of[attack].append(figures)
    for attack, of_items in figures_of.items():
        print(f"| {attack} {attack_cells(of_items)} |")
    junk = [figures for of_items in figures_of.values() for figures in of_items if figures.junk]
    print(f"| all junk {attack_cells(junk)} |")


def item_cells(item: LiveItem) -> str:
    bundle, evidence, agreement = item.bundle, item.bundle.evidence, item.bundle.agreement
    accepted = evidence.accepted
    if agreement is None or accepted is None:
        return "| not measured"
    qwk_of_accepted = None if accepted.agreement is None else accepted.agreement.qwk
    asked = "" if agreement.human_qwk is None else f" ({agreement.human_qwk - 0.05:.3f})"
    failed = ", ".join(bundle.gate.failed)
    cells = [
        f"({agreement.n})",
        shown(agreement.qwk),
        shown(agreement.human_qwk),
        f"{shown(evidence.ece_uncalibrated)}, {shown(evidence.ece)}",
        f"{shown(evidence.coverage)} ({shown(evidence.set_size)})",
        f"{accepted.share:.1%}",
        f"{shown(qwk_of_accepted)}{asked}",
        "passed" if bundle.gate.passed else failed,
    ]
    return " | ".join(cells)


def overall(bundles: Sequence[Bundle]) -> str:
    """Return calibration error before and after, and coverage by dev rows, over all items."""
    evidence = [bundle.evidence for bundle in bundles]
    rows = np.array([bundle.agreement.n for bundle in bundles if bundle.agreement])
    before = np.mean([item.ece_uncalibrated or 0.0 for item in evidence])
    after = np.mean([item.ece or 0.0 for item in evidence])
    coverage = np.average([item.coverage or 0.0 for item in evidence], weights=rows)
    return f"calibration error {before:.3f}, {after:.3f}; in sets {coverage:.3f} of {rows.sum():,}"


def attack_cells(of_items: Sequence[AttackFigures]) -> str:
    """Return the number of texts, and the share that would stand with and without conditions."""
    texts = [figures.n for figures in of_items]
    accepted = np.average([figures.accepted for figures in of_items], weights=texts)
    unguarded = np.average([figures.unguarded for figures in of_items], weights=texts)
    return f"| {sum(texts):,} | {accepted:.1%} | {unguarded:.1%}"


def shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    typer.run(main)
