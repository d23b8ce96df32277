"""The tables of docs/trust.md: what live bundles showed on dev when they were trained.

scorelet-train run --data DIR --models MODELS --export-teacher
python -m benchmarks.trust --models MODELS
"""

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from app.scoring.decision import LiveItem
from app.scoring.evidence import AttackFigures
from app.scoring.registry import Registry


def main(models: Annotated[Path, typer.Option(help="Folder of live bundles.")]) -> None:
    live = sorted(Registry.from_folder(models).live.items(), key=lambda own: (len(own[0]), own[0]))
    print(
        "| item (dev rows) | QWK | raters | calibration error | in sets of | may stand | QWK of these (asked) | gate |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for item_id, item in live:
        print(f"| {item_id} {row(item)} |")
    rows = [item.bundle for _, item in live if item.bundle.agreement is not None]
    n = np.array([own.agreement.n for own in rows if own.agreement])
    coverage = np.array([own.evidence.coverage or 0.0 for own in rows])
    before = np.mean([own.evidence.ece_uncalibrated or 0.0 for own in rows])
    after = np.mean([own.evidence.ece or 0.0 for own in rows])
    print(
        f"\ncalibration error {before:.3f}, {after:.3f}; in sets {np.average(coverage, weights=n):.3f} of {n.sum():,}"
    )
    print("\n| attack | texts | would stand | without conditions |\n|---|---|---|---|")
    tried: dict[str, list[AttackFigures]] = defaultdict(list)
    for own in rows:
        for name, figures in own.evidence.attacks.items():
            tried[name].append(figures)
    for name, each in tried.items():
        print(f"| {name} {shares(each)} |")
    print(f"| all junk {shares([own for each in tried.values() for own in each if own.junk])} |")


def row(item: LiveItem) -> str:
    bundle, evidence, a = item.bundle, item.bundle.evidence, item.bundle.agreement
    accepted = evidence.accepted
    if a is None or accepted is None:
        return "| not measured"
    inside = accepted.agreement
    stands = "-" if inside is None or inside.qwk is None else f"{inside.qwk:.3f}"
    asked = "" if a.human_qwk is None else f" ({a.human_qwk - 0.05:.3f})"
    return " | ".join(
        [
            f"({a.n})",
            shown(a.qwk),
            shown(a.human_qwk),
            f"{shown(evidence.ece_uncalibrated)}, {shown(evidence.ece)}",
            f"{shown(evidence.coverage)} ({shown(evidence.set_size)})",
            f"{accepted.share:.1%}",
            f"{stands}{asked}",
            "passed" if bundle.gate.passed else ", ".join(bundle.gate.failed),
        ]
    )


def shares(each: list[AttackFigures]) -> str:
    n = sum(own.n for own in each)
    accepted, unguarded = (
        sum(own.n * share for own, share in zip(each, found, strict=True)) / n
        for found in ([own.accepted for own in each], [own.unguarded for own in each])
    )
    return f"| {n:,} | {accepted:.1%} | {unguarded:.1%}"


def shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    typer.run(main)
