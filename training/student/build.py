"""Model files of students: distilled together where items share a teacher, exported, checked, and cached by a hash."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from app.scoring.decoding import distribution
from app.scoring.featurizer import Featurizer
from app.scoring.item import Item
from app.scoring.network import Network
from training.common.cache import keep, key_of, seconds_of
from training.config import DistillationConfig, StudentConfig, TrainingConfig
from training.errors import NoParity
from training.student.distill import distilled
from training.student.network import StudentNetwork, parameters
from training.student.onnx_export import to_onnx
from training.student.training_set import TrainingSet

PARITY_TEXTS = 200  # texts whose predictions are compared
MAX_DIFFERENCE = 1e-4  # between torch's and onnxruntime's probabilities, or means and variances


@dataclass(frozen=True, slots=True)
class StudentFiles:
    """The content of tokenizer.json and student.onnx."""

    tokenizer: bytes
    student: bytes
    parameters: int
    seconds: float | None  # of the distillation; a share of them where items learnt together

    def network(self, item: Item, max_tokens: int) -> Network:
        """Return the network opened by onnxruntime.  Raise BadBundle where a file cannot be read."""
        return Network.from_bytes(self.tokenizer, self.student, max_tokens, item)


def make_students(
    items: Sequence[Item],
    training_sets: Sequence[TrainingSet],
    tokenizer: bytes,
    config: TrainingConfig,
    cache: Path,
    max_difference: float = MAX_DIFFERENCE,
) -> list[StudentFiles]:
    """Make a student for each item: distil them together, export them, and compare onnxruntime with torch.

    The distilled weights are kept under `cache`.  Raise OverBudget before anything is trained, and NoParity where the
    exported predictions differ by `max_difference` or more.
    """
    count = check_budget(items[0], tokenizer, config.student)
    file = cache / "students" / _key(items, training_sets, tokenizer, config)
    featurizer = Featurizer.from_bytes(tokenizer, config.student.max_tokens)

    def trained() -> StudentNetwork:
        seed = _seed(config)
        return distilled(training_sets, featurizer, items[0], config.student, _distillation(items, config), seed)

    keep(file, trained, lambda path, network: save_file(network.state_dict(), path))
    network = StudentNetwork(featurizer.vocabulary, items[0], config.student, len(items)).eval()
    network.load_state_dict(load_file(file))
    seconds = seconds_of([file])
    share = None if seconds is None else seconds / len(items)
    students = []
    for number, (item, training_set) in enumerate(zip(items, training_sets, strict=True)):
        student = network.alone(number)
        files = StudentFiles(tokenizer, to_onnx(student), count, share)
        exported = files.network(item, config.student.max_tokens)
        check_parity(student, exported, item, training_set.texts[:PARITY_TEXTS], max_difference)
        students.append(files)
    return students


def _key(items: Sequence[Item], training_sets: Sequence[TrainingSet], tokenizer: bytes, config: TrainingConfig) -> str:
    """Return a hash of everything that the weights of these students depend on."""
    item, hashes = items[0], [training_set.key for training_set in training_sets]
    distillation = _distillation(items, config).model_dump(exclude={"seed", "shared_epochs"})
    settings = config.student.model_dump() | distillation
    return key_of("students", item.scale, item.choices, hashes, tokenizer.decode(), settings, _seed(config))


def _distillation(items: Sequence[Item], config: TrainingConfig) -> DistillationConfig:
    return config.distillation if len(items) == 1 else config.distillation.of_several


def _seed(config: TrainingConfig) -> int:
    return 1000 * config.seed + config.distillation.seed


def check_budget(item: Item, tokenizer: bytes, config: StudentConfig) -> int:
    """Return the number of parameters that a student for the item will have.  Raise OverBudget."""
    vocabulary = Featurizer.from_bytes(tokenizer, config.max_tokens).vocabulary
    return parameters(StudentNetwork(vocabulary, item, config))


def check_parity(
    trained: StudentNetwork, exported: Network, item: Item, texts: Sequence[str], limit: float = MAX_DIFFERENCE
) -> float:
    """Return the largest difference between torch's and onnxruntime's predictions for the texts.

    Predictions are probabilities, or mean and variance of grades.  Raise NoParity from the limit.
    """
    with torch.inference_mode():
        expected = trained(torch.from_numpy(exported.featurizer.ids(texts))).numpy()
    differences = np.abs(distribution(expected, item) - distribution(exported.outputs(texts), item))
    difference = float(differences.max())
    if not difference < limit:
        raise NoParity(
            f"the exported student's predictions differ by {difference:.2g} (limit {limit})",
            difference=difference,
            limit=limit,
        )
    return difference
