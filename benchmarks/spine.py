"""What distillation earns on a user's own data, against a baseline that is hard to beat.

    python -m benchmarks.spine --data DIR --models MODELS --item ITEM … --out results.json

For each item, on its dev rows: TF-IDF + logistic regression fitted on all train rows (decoded both ways), the same
student trained on human labels alone (with the very settings of the distilled one, and with as many epochs as suit it
best), the distilled student in MODELS, and its teacher; students of three seeds; QWK with 95 % bootstrap intervals,
parameters, bytes, and milliseconds a response (batch 1, one thread).
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from sklearn.model_selection import cross_val_predict

from app.scoring.active import read_active
from app.scoring.agreement import quadratic_weighted_kappa
from app.scoring.bundle import STUDENT, TOKENIZER
from app.scoring.student import Student, softmax
from benchmarks.decoding import linked, rounded
from benchmarks.tf_idf import tf_idf
from training.cache import default_folder
from training.config import TextConfig, TrainingConfig
from training.datasets import ItemData, read_data
from training.run import linked_head, split, train_item
from training.selection import choose_head, figure_of_merit
from training.softlabels import teacher_logits
from training.student import parameters
from training.teacher import fine_tuned

RESAMPLES = 2000
SEEDS = (0, 1, 2)  # of the students
EPOCHS_WITHOUT_TEACHER = (1, 2, 4)  # times the distilled student's
COMPARED = ("tf_idf", "tf_idf_linked", "human_labels_only", "human_labels_only_best_epochs", "student", "teacher")
Choices = NDArray[np.int64]


def by_tf_idf(data: ItemData, texts: Sequence[str]) -> tuple[Choices, Choices]:
    """The expected score rounded, as the baseline is usually quoted, and linked like the student's, the cuts placed on
    out-of-fold scores of train: what the model is worth, apart from the decoding.
    """
    model = tf_idf()
    train, human = [row.text for row in data.train], [row.choice for row in data.train]
    head = choose_head(data.item, human, cross_val_predict(model, train, human, cv=5, method="predict_proba"))
    probabilities = model.fit(train, human).predict_proba(list(texts))
    return rounded(probabilities), linked(probabilities, data.item, head)


def by_student(student: Student, texts: Sequence[str]) -> Choices:
    return np.array([score.choice for score in student.score(list(texts))])


def interval(human: Choices, machines: Sequence[Choices], against: Sequence[Choices] | None = None) -> list[float]:
    """95 % bootstrap interval over rows of the seeds' mean QWK, or of its difference to `against` on the same rows."""
    generator = np.random.default_rng(0)
    figures = []
    for _ in range(RESAMPLES):
        rows = generator.integers(0, len(human), len(human))
        drawn = [mean_qwk(human[rows], [machine[rows] for machine in each]) for each in (machines, against or [])]
        figures.append(drawn[0] - drawn[1])
    return [round(float(value), 3) for value in np.percentile(figures, [2.5, 97.5])]


def mean_qwk(human: Choices, machines: Sequence[Choices]) -> float:
    return float(np.mean([quadratic_weighted_kappa(human, machine) for machine in machines])) if machines else 0.0


def trained(data: ItemData, config: TrainingConfig, work: Path, cache: Path, **distillation: object) -> Student:
    """A student by the run's own settings but for those of distillation that are named."""
    changed = config.distillation.model_copy(update=distillation)
    bundle = train_item(data, work, config.model_copy(update={"distillation": changed}), cache)
    return Student.load(work / data.item.item_id / bundle.version)


def best_epochs(data: ItemData, alone: TrainingConfig, work: Path, cache: Path) -> int:
    """How many epochs on human labels alone the validation part prefers.

    The distilled student's own number is fewer steps over fewer texts, so that with it alone the opponent were weak.
    """
    validation = split(data, alone).validation
    human, texts = [row.choice for row in validation], [row.text for row in validation]
    choices = [times * alone.distillation.epochs for times in EPOCHS_WITHOUT_TEACHER]
    students = [trained(data, alone, work, cache, soft_weight=0.0, epochs=epochs) for epochs in choices]
    figures = [figure_of_merit(data.item, human, softmax(student.logits(texts))) for student in students]
    return choices[int(np.argmax(figures))]


def milliseconds(score: Callable[[list[str]], object], texts: Sequence[str], rounds: int = 200) -> float:
    """The median over single responses, after a warm-up."""
    chosen = [texts[number % len(texts)] for number in range(rounds)]
    for text in chosen[:20]:
        score([text])
    times = []
    for text in chosen:
        start = time.perf_counter()
        score([text])
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1000)


def of_item(data: ItemData, models: Path, work: Path, cache: Path) -> dict[str, Any]:
    folder = models / data.item.item_id
    student = Student.load(folder / read_active(folder).version)
    config = TrainingConfig.model_validate(student.bundle.provenance.config)
    parts = split(data, config)
    texts, human = [row.text for row in parts.dev], np.array([row.choice for row in parts.dev])
    alone = config.model_copy(update={"text": TextConfig(unlabelled=False, augmented_per_response=0)})
    best = best_epochs(data, alone, work, cache)

    teacher = fine_tuned(data.item, parts.fit, parts.validation, config.teacher, config.seed, cache)

    def of_teacher(rows: Sequence[str]) -> NDArray[np.float64]:
        return softmax(teacher_logits(teacher, rows, "teacher", cache))

    head = linked_head(data.item, parts, of_teacher([row.text for row in parts.validation]), of_teacher)
    tf_idf_rounded, tf_idf_linked = by_tf_idf(data, texts)

    def by_students(config: TrainingConfig, seeds: Sequence[int], **distillation: object) -> list[Choices]:
        students = [trained(data, config, work, cache, seed=seed, **distillation) for seed in seeds]
        return [by_student(student, texts) for student in students]

    machines = {
        "tf_idf": [tf_idf_rounded],
        "tf_idf_linked": [tf_idf_linked],
        "human_labels_only": by_students(alone, SEEDS, soft_weight=0.0),
        "human_labels_only_best_epochs": by_students(alone, SEEDS, soft_weight=0.0, epochs=best),
        "student": [by_student(student, texts), *by_students(config, SEEDS[1:])],
        "teacher": [linked(of_teacher(texts), data.item, head)],
    }
    result: dict[str, Any] = {"item": data.item.item_id, "n": len(human), "bundle": student.bundle.version}
    result |= {"best_epochs_on_human_labels": best, "data_sha256": data.sha256}
    for name, choices in machines.items():
        each = [round(quadratic_weighted_kappa(human, seed), 3) for seed in choices]
        result[name] = {"qwk": round(mean_qwk(human, choices), 3), "interval": interval(human, choices), "seeds": each}
        result[name]["student_less_this"] = interval(human, machines["student"], choices)
    networks = [member.network for member in teacher.members]
    version = folder / student.bundle.version
    result["student"] |= {
        "parameters": student.bundle.parameters,
        "bytes": sum((version / name).stat().st_size for name in (STUDENT, TOKENIZER)),
        "milliseconds": round(milliseconds(student.score, texts), 3),
    }
    torch.set_num_threads(1)
    result["teacher"] |= {
        "parameters": sum(map(parameters, networks)),
        "bytes": 4 * sum(map(parameters, networks)),  # float32
        "milliseconds": round(milliseconds(teacher.logits, texts), 2),
    }
    return result


def main(
    data: Annotated[Path, typer.Option()],
    models: Annotated[Path, typer.Option(help="With the bundles of `scorelet-train run`.")],
    item: Annotated[list[str], typer.Option()],
    out: Annotated[Path, typer.Option()],
    work: Annotated[Path, typer.Option(help="For the students of other seeds and without a teacher.")] = Path(
        "build/spine"
    ),
    cache: Annotated[Path | None, typer.Option()] = None,
) -> None:
    read = read_data(data)
    results = [of_item(read.of(item_id), models, work, cache or default_folder()) for item_id in item]
    means = {name: round(float(np.mean([result[name]["qwk"] for result in results])), 3) for name in COMPARED}
    out.write_text(json.dumps({"items": results, "mean_qwk": means}, indent=2) + "\n", encoding="utf-8")
    print(out.read_text())


if __name__ == "__main__":
    typer.run(main)
