"""What distillation earns on a user's own data, against a baseline that is hard to beat.

    python -m benchmarks.spine --data DIR --models MODELS --item ITEM … --out results.json

For each item, on its dev rows: TF-IDF + logistic regression fitted on all train rows (decoded both ways), the same
student trained on human labels alone (with the very settings of the distilled one, and with as many epochs as suit it
best), the distilled student in MODELS, and its teacher; QWK with 95 % bootstrap intervals, parameters, bytes, and
milliseconds a response (batch 1, one thread).
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
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline, make_union

from app.scoring.active import read_active
from app.scoring.agreement import quadratic_weighted_kappa
from app.scoring.bundle import STUDENT, TOKENIZER
from app.scoring.student import Student, decode, expected_choice, softmax
from training.cache import default_folder
from training.config import TextConfig, TrainingConfig
from training.datasets import ItemData, read_data
from training.run import linked_head, split, train_item
from training.selection import choose_head, figure_of_merit
from training.softlabels import teacher_logits
from training.student import parameters
from training.teacher import fine_tuned

RESAMPLES = 2000
EPOCHS_WITHOUT_TEACHER = (1, 2, 4, 8)  # times the distilled student's
COMPARED = (
    "tf_idf",
    "tf_idf_linked",
    "student_human_labels_only",
    "student_human_labels_only_best_epochs",
    "student",
    "teacher",
)
Choices = NDArray[np.int64]


def tf_idf(data: ItemData, texts: Sequence[str]) -> tuple[Choices, Choices]:
    """Words and word pairs, characters 2 to 5; fixed settings.

    The expected score rounded, as the baseline is usually quoted, and linked like the student's, the cuts placed on
    out-of-fold scores of train: what the model is worth, apart from the decoding.
    """
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True)
    model = make_pipeline(make_union(words, characters), LogisticRegression(C=10, max_iter=2000))
    train, human = [row.text for row in data.train], [row.choice for row in data.train]
    head = choose_head(data.item, human, cross_val_predict(model, train, human, cv=5, method="predict_proba"))
    probabilities = model.fit(train, human).predict_proba(list(texts))
    rounded: Choices = np.floor(expected_choice(probabilities) + 0.5).astype(np.int64)
    return rounded, np.array([score.choice for score in decode(probabilities, data.item, head)])


def by_student(student: Student, texts: Sequence[str]) -> Choices:
    return np.array([score.choice for score in student.score(list(texts))])


def interval(human: Choices, machine: Choices, against: Choices | None = None) -> list[float]:
    """95 % bootstrap interval of QWK, or of its difference to `against` on the same resamples."""
    generator = np.random.default_rng(0)
    figures = []
    for _ in range(RESAMPLES):
        rows = generator.integers(0, len(human), len(human))
        figure = quadratic_weighted_kappa(human[rows], machine[rows])
        figures.append(figure - (quadratic_weighted_kappa(human[rows], against[rows]) if against is not None else 0.0))
    return [round(float(value), 3) for value in np.percentile(figures, [2.5, 97.5])]


def without_teacher(data: ItemData, config: TrainingConfig, work: Path, cache: Path) -> tuple[Student, Student]:
    """The student with λ = 0 and no extra text: with the same settings, and after the epochs that validation prefers.

    The same epochs are fewer steps over fewer texts, so the first alone would be a weak opponent.
    """
    text = TextConfig(unlabelled=False, augmented_per_response=0)
    validation = split(data, config).validation
    students, figures = [], []
    for times in EPOCHS_WITHOUT_TEACHER:
        epochs = times * config.distillation.epochs
        alone = config.distillation.model_copy(update={"soft_weight": 0.0, "epochs": epochs})
        bundle = train_item(data, work, config.model_copy(update={"distillation": alone, "text": text}), cache)
        students.append(Student.load(work / data.item.item_id / bundle.version))
        probabilities = softmax(students[-1].logits([row.text for row in validation]))
        figures.append(figure_of_merit(data.item, [row.choice for row in validation], probabilities))
    return students[0], students[int(np.argmax(figures))]


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

    same, best = without_teacher(data, config, work, cache)
    teacher = fine_tuned(data.item, parts.fit, parts.validation, config.teacher, config.seed, cache)

    def of_teacher(rows: Sequence[str]) -> NDArray[np.float64]:
        return softmax(teacher_logits(teacher, rows, "teacher", cache))

    head = linked_head(data.item, parts, of_teacher([row.text for row in parts.validation]), of_teacher)
    by_teacher = decode(of_teacher(texts), data.item, head)

    rounded, linked = tf_idf(data, texts)
    machine = {
        "tf_idf": rounded,
        "tf_idf_linked": linked,
        "student_human_labels_only": by_student(same, texts),
        "student_human_labels_only_best_epochs": by_student(best, texts),
        "student": by_student(student, texts),
        "teacher": np.array([score.choice for score in by_teacher]),
    }
    result: dict[str, Any] = {"item": data.item.item_id, "n": len(human), "bundle": student.bundle.version}
    result |= {"seed": config.seed, "data_sha256": data.sha256, "software": student.bundle.provenance.software}
    for name, choices in machine.items():
        qwk = quadratic_weighted_kappa(human, choices)
        result[name] = {"qwk": round(qwk, 3), "interval": interval(human, choices)}
    for name in machine.keys() - {"student"}:
        result[f"student_less_{name}"] = interval(human, machine["student"], machine[name])
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
    work: Annotated[Path, typer.Option(help="For the students without a teacher.")] = Path("build/spine"),
    cache: Annotated[Path | None, typer.Option()] = None,
) -> None:
    read = read_data(data)
    results = [of_item(read.of(item_id), models, work, cache or default_folder()) for item_id in item]
    means = {name: round(float(np.mean([result[name]["qwk"] for result in results])), 3) for name in COMPARED}
    out.write_text(json.dumps({"items": results, "mean_qwk": means}, indent=2) + "\n", encoding="utf-8")
    print(out.read_text())


if __name__ == "__main__":
    typer.run(main)
