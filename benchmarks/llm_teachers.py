"""Compare teachers of grades: a small encoder with all weights or LoRA, and a language model with LoRA or QLoRA.

    python -m benchmarks.llm_teachers --data DIR --results FOLDER

Each variant trains in a process of its own, so that the peak memory is the variant's, and leaves one JSON file.  A
variant whose file exists is not trained again, and a killed training goes on.  Each teacher is one network.  Figures
are on dev, as shares of the scale.
"""

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
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

CLASSES = (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of the scale that a classification head distinguishes
RESAMPLES = 2000  # of the bootstrap interval
TIMED = 40  # responses
MINILM = {"base": "minilm", "members": 1}
SMOLLM2 = {"base": "smollm2", "members": 1, "max_epochs": 1, "min_steps": 1, "shared_min_steps": 1, "batch_size": 8}


class Variant(NamedTuple):
    """Settings of the teacher, and the kind of its head."""

    settings: dict[str, object]
    has_classes: bool = False


VARIANTS = {
    "MiniLM, all weights": Variant(MINILM),
    "MiniLM, all weights, classes": Variant(MINILM, has_classes=True),
    "MiniLM, LoRA": Variant(MINILM | {"kind": "lora"}),
    "SmolLM2, LoRA": Variant(SMOLLM2 | {"kind": "lora"}),
    "SmolLM2, QLoRA": Variant(SMOLLM2 | {"kind": "qlora"}),
}


@dataclass(frozen=True, slots=True)
class VariantResult:
    """Cost and predictions of a variant, as its JSON file has them."""

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
    results: Annotated[Path, typer.Option(help="Folder of one file per variant.")],
    variant: Annotated[list[str] | None, typer.Option(help=f"One of: {'; '.join(VARIANTS)}. Default: all.")] = None,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    only: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Train and measure variants; print the table."""
    results.mkdir(parents=True, exist_ok=True)
    if only is not None:
        result = train_and_measure(data, only, precision)
        _file(results, only).write_text(json.dumps(asdict(result)) + "\n", encoding="utf-8")
        return
    for title in variant or VARIANTS:
        if not _file(results, title).is_file():
            run_in_process("--data", data, "--results", results, "--precision", precision, "--only", title)
    show([VariantResult(**json.loads(path.read_text())) for path in sorted(results.glob("*.json"))])


def run_in_process(*arguments: object) -> None:
    """Run this program in a new process."""
    # glibc keeps freed small blocks, which would count as resident; large blocks are mapped, and so returned.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-m", "benchmarks.llm_teachers", *map(str, arguments)]
    subprocess.run(command, env=environment, check=True)  # noqa: S603


def train_and_measure(data: Path, title: str, precision: str) -> VariantResult:
    """Train a variant, or load it from the cache, and measure it on dev."""
    from training.data.item_groups import groups
    from training.data.splits import split
    from training.teacher.ensemble import fine_tuned

    variant = VARIANTS[title]
    teacher_config = TeacherConfig.model_validate(variant.settings | {"precision": precision})
    config = TrainingConfig(teacher=teacher_config)
    folder = read_data(data)
    items = [folder.of(item_id) for item_id in folder.items]
    [group] = groups([in_classes(item) if variant.has_classes else item for item in items], teacher_config.own_from)
    split_items = [split(item, config) for item in group.members]
    fit = [example for parts in split_items for example in group.examples(parts.item, parts.fit)]
    validation = [example for parts in split_items for example in group.examples(parts.item, parts.validation)]
    teacher = fine_tuned(split_items[0].item, fit, validation, teacher_config, config.seed, work_folder(None), title)
    [member] = teacher.members
    steps = len(member.history) * math.ceil(len(fit) / teacher_config.batch_size)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    human, predicted, seconds = [], [], []
    for parts, item in zip(split_items, items, strict=True):
        context = group.context(parts.item)
        for row in split(item, config).dev:
            human.append(item.item.share(row.value))
            began = time.perf_counter()
            outputs = teacher.outputs([row.text], context)
            seconds.append(time.perf_counter() - began)
            predicted.append(predicted_share(outputs, variant.has_classes))
    return VariantResult(
        title=title,
        trainable=sum(parameter.numel() for parameter in member.network.learnt.values()),
        steps=steps,
        seconds_a_step=None if member.seconds is None else member.seconds / steps,
        peak_mib=peak_kib / 1024,
        latency_ms=1000 * statistics.median(seconds[-TIMED:]),
        human=human,
        predicted=predicted,
    )


def in_classes(data: ItemData) -> ItemData:
    """Return an item with its grades replaced by the nearest of CLASSES."""
    item = Item(
        item_id=data.item.item_id,
        prompt=data.item.prompt,
        references=data.item.references,
        scale="ordinal",
        labels=tuple(map(str, CLASSES)),
    )

    def nearest(row: MarkedResponse) -> MarkedResponse:
        grade = data.item.share(row.value)
        distances = np.abs(np.subtract(CLASSES, grade))
        value = int(distances.argmin())
        return MarkedResponse(row.id, row.item_id, row.text, value, None, row.learner_id, row.groups)

    return ItemData(item, tuple(map(nearest, data.train)), tuple(map(nearest, data.dev)), data.unlabelled)


def predicted_share(outputs: Outputs, has_classes: bool) -> float:
    """Return the predicted grade as a share of the scale: the mean, or the expected class."""
    means = softmax(outputs) @ np.array(CLASSES) if has_classes else outputs[:, 0]
    return min(1.0, max(0.0, float(means[0])))


def show(results: Sequence[VariantResult]) -> None:
    table = Table("", "RMSE", "95 % interval", "MAE", "trainable", "MiB", "s a step", "ms a response", box=SIMPLE)
    for result in results:
        human, predicted = np.array(result.human), np.array(result.predicted)
        low, high = rmse_interval(human, predicted)
        table.add_row(
            result.title,
            f"{root_mean_squared_error(human, predicted):.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{np.abs(human - predicted).mean():.3f}",
            f"{result.trainable:,}",
            f"{result.peak_mib:,.0f}",
            "-" if result.seconds_a_step is None else f"{result.seconds_a_step:.2f}",
            f"{result.latency_ms:.0f}",
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def rmse_interval(human: NDArray[np.float64], predicted: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the RMSE."""
    generator = np.random.default_rng(0)
    errors = []
    for _ in range(RESAMPLES):
        rows = generator.integers(0, len(human), len(human))
        errors.append(root_mean_squared_error(human[rows], predicted[rows]))
    low, high = np.quantile(errors, (0.025, 0.975))
    return float(low), float(high)


def _file(results: Path, title: str) -> Path:
    name = title.lower().replace(",", "").replace(" ", "-")
    return results / f"{name}.json"


if __name__ == "__main__":
    typer.run(main)
