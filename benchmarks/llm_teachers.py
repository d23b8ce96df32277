"""Teachers of grades by what of them learns: a small encoder whole or by LoRA, a language model by LoRA or QLoRA.

    python -m benchmarks.llm_teachers --data DIR --results FOLDER

Each variant is trained in a process of its own, so that its peak memory is its own, and leaves one JSON file; what is
there is not made again, and a killed training goes on.  One member each; figures on dev, as shares of the scale.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.scoring.agreement import root_mean_squared_error
from app.scoring.decoding import Outputs, softmax
from app.scoring.item import Item
from training.common.cache import work_folder
from training.config import TeacherConfig, TrainingConfig
from training.data import ItemData, read_data
from training.data.responses import MarkedResponse

CLASSES = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of the scale that a classification head tells apart
RESAMPLES, TIMED = 2000, 40
MINILM = {"base": "minilm", "members": 1}
SMOLLM2 = {"base": "smollm2", "members": 1, "max_epochs": 1, "min_steps": 1, "shared_min_steps": 1, "batch_size": 8}
VARIANTS: dict[str, tuple[dict[str, object], bool]] = {  # settings; whether the head is one of classes
    "MiniLM, all weights": (MINILM, False),
    "MiniLM, all weights, classes": (MINILM, True),
    "MiniLM, LoRA": (MINILM | {"kind": "lora"}, False),
    "SmolLM2, LoRA": (SMOLLM2 | {"kind": "lora"}, False),
    "SmolLM2, QLoRA": (SMOLLM2 | {"kind": "qlora"}, False),
}


@dataclass(frozen=True, slots=True)
class Found:
    title: str
    trainable: int
    steps: int
    seconds_a_step: float | None
    peak_mib: float  # resident, of the whole process
    latency_ms: float  # of one response, in torch
    human: list[float]
    predicted: list[float]


def main(
    data: Annotated[Path, typer.Option(help="Folder of items with grades.")],
    results: Annotated[Path, typer.Option(help="Folder of one file a variant.")],
    variant: Annotated[list[str] | None, typer.Option(help=f"One of: {'; '.join(VARIANTS)}. Default: all.")] = None,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    only: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Train and measure; print the table."""
    results.mkdir(parents=True, exist_ok=True)
    if only is not None:
        found = measured(data, only, precision)
        _file(results, only).write_text(json.dumps(asdict(found)) + "\n", encoding="utf-8")
        return
    for title in variant or VARIANTS:
        if not _file(results, title).is_file():
            arguments = ["--data", data, "--results", results, "--precision", precision, "--only", title]
            # What is given back to glibc counts as held, unless large blocks are mapped on their own.
            environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
            command = [sys.executable, "-m", "benchmarks.llm_teachers", *map(str, arguments)]
            subprocess.run(command, env=environment, check=True)  # noqa: S603  # this very program
    show([Found(**json.loads(path.read_text())) for path in sorted(results.glob("*.json"))])


def measured(data: Path, title: str, precision: str) -> Found:
    """Trained, or read where it was trained before."""
    from training.data.item_groups import groups
    from training.data.splits import split
    from training.teacher.ensemble import fine_tuned

    settings, in_classes = VARIANTS[title]
    config = TrainingConfig(teacher=TeacherConfig.model_validate(settings | {"precision": precision}))
    read = read_data(data)
    members = [classified(read.of(i)) if in_classes else read.of(i) for i in read.items]
    [group] = groups(members, config.teacher.own_from)
    parts = [split(own, config) for own in group.members]
    fit = [example for own in parts for example in group.examples(own.item, own.fit)]
    validation = [example for own in parts for example in group.examples(own.item, own.validation)]
    teacher = fine_tuned(parts[0].item, fit, validation, config.teacher, config.seed, work_folder(None), title)
    [member] = teacher.members
    steps = len(member.history) * -(-len(fit) // config.teacher.batch_size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    human, predicted, times = [], [], []
    for own, whole in zip(parts, (read.of(i) for i in read.items), strict=True):
        dev = split(whole, config).dev
        context = group.context(own.item)
        human += [whole.item.share(row.value) for row in dev]
        for row in dev:
            began = time.perf_counter()
            outputs = teacher.outputs([row.text], context)
            times.append(time.perf_counter() - began)
            predicted.append(share(outputs, in_classes))
    seconds = None if member.seconds is None else member.seconds / steps
    return Found(
        title=title,
        trainable=sum(p.numel() for p in member.network.learnt.values()),
        steps=steps,
        seconds_a_step=seconds,
        peak_mib=peak,
        latency_ms=1000 * float(np.median(times[-TIMED:])),
        human=human,
        predicted=predicted,
    )


def classified(data: ItemData) -> ItemData:
    """Grades as the nearest of CLASSES."""
    item = Item(
        item_id=data.item.item_id,
        prompt=data.item.prompt,
        references=data.item.references,
        scale="ordinal",
        labels=tuple(map(str, CLASSES)),
    )

    def nearest(row: MarkedResponse) -> MarkedResponse:
        grade = data.item.share(row.value)
        value = int(np.abs(np.subtract(CLASSES, grade)).argmin())
        return MarkedResponse(row.id, row.item_id, row.text, value, None, row.learner_id, row.groups)

    return ItemData(item, tuple(map(nearest, data.train)), tuple(map(nearest, data.dev)), data.unlabelled)


def share(outputs: Outputs, in_classes: bool) -> float:
    """The grade as a share of the scale: the mean, or the expected class."""
    mean = float((softmax(outputs) @ np.array(CLASSES))[0]) if in_classes else float(outputs[0, 0])
    return min(1.0, max(0.0, mean))


def show(found: Sequence[Found]) -> None:
    table = Table("", "RMSE", "95 % interval", "MAE", "learnt", "MiB", "s a step", "ms a response", box=SIMPLE)
    for own in found:
        human, predicted = np.array(own.human), np.array(own.predicted)
        generator = np.random.default_rng(0)
        rows = [generator.integers(0, len(human), len(human)) for _ in range(RESAMPLES)]
        low, high = np.quantile([root_mean_squared_error(human[r], predicted[r]) for r in rows], (0.025, 0.975))
        table.add_row(
            own.title,
            f"{root_mean_squared_error(human, predicted):.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{np.abs(human - predicted).mean():.3f}",
            f"{own.trainable:,}",
            f"{own.peak_mib:,.0f}",
            "-" if own.seconds_a_step is None else f"{own.seconds_a_step:.2f}",
            f"{own.latency_ms:.0f}",
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _file(results: Path, title: str) -> Path:
    return results / f"{title.lower().replace(',', '').replace(' ', '-')}.json"


if __name__ == "__main__":
    typer.run(main)
