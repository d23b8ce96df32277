"""Students' model files, made from the lessons of items that learn together; kept by the hash of what made them."""

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
from training.config import StudentConfig, TrainingConfig
from training.errors import NoParity
from training.student.distill import distilled
from training.student.network import StudentNetwork, parameters
from training.student.onnx_export import to_onnx
from training.student.training_set import TrainingSet

CHECKED = 200  # texts that parity is tried on
MAX_DIFFERENCE = 1e-4  # between torch's and onnxruntime's probabilities, or shares of the scale


@dataclass(frozen=True, slots=True)
class StudentFiles:
    """The content of tokenizer.json and student.onnx."""

    tokenizer: bytes
    student: bytes
    parameters: int
    seconds: float | None  # that the distillation took: of items that learnt together, this one's share

    def network(self, item: Item, max_tokens: int) -> Network:
        return Network.from_bytes(self.tokenizer, self.student, max_tokens, item)


def make_students(
    items: Sequence[Item],
    lessons: Sequence[TrainingSet],
    tokenizer: bytes,
    config: TrainingConfig,
    cache: Path,
    most_apart: float = MAX_DIFFERENCE,
) -> list[StudentFiles]:
    """Make a student for each item: distil them together, export them, and check that onnxruntime computes the same.

    Raises OverBudget before anything is trained, and NoParity.
    """
    item = items[0]  # all have the same scores or labels, or grades
    count = check_budget(item, tokenizer, config.student)
    seed = 1000 * config.seed + config.distillation.seed
    distillation = config.distillation if len(items) == 1 else config.distillation.of_several
    settings = config.student.model_dump() | distillation.model_dump(exclude={"seed", "shared_epochs"})
    keys = [own.key for own in lessons]
    key = key_of("students", item.scale, item.choices, keys, tokenizer.decode(), settings, seed)
    file = cache / "students" / key
    featurizer = Featurizer.from_bytes(tokenizer, config.student.max_tokens)

    def learnt() -> StudentNetwork:
        return distilled(lessons, featurizer, item, config.student, distillation, seed)

    keep(file, learnt, lambda path, network: save_file(network.state_dict(), path))
    network = StudentNetwork(featurizer.vocabulary, item, config.student, len(items)).eval()
    network.load_state_dict(load_file(file))
    seconds = seconds_of([file])
    share = None if seconds is None else seconds / len(items)
    made = []
    for number, (own, lesson) in enumerate(zip(items, lessons, strict=True)):
        student = network.alone(number)
        files = StudentFiles(tokenizer, to_onnx(student), count, share)
        check_parity(student, files.network(own, config.student.max_tokens), own, lesson.texts[:CHECKED], most_apart)
        made.append(files)
    return made


def check_budget(item: Item, tokenizer: bytes, config: StudentConfig) -> int:
    """How many parameters a student will have.  Raises OverBudget."""
    vocabulary = Featurizer.from_bytes(tokenizer, config.max_tokens).vocabulary
    return parameters(StudentNetwork(vocabulary, item, config))


def check_parity(
    trained: StudentNetwork, exported: Network, item: Item, texts: Sequence[str], limit: float = MAX_DIFFERENCE
) -> float:
    """Return the largest difference of a prediction over the texts.  Raises NoParity from the limit."""
    with torch.inference_mode():
        wanted = trained(torch.from_numpy(exported.featurizer.ids(texts))).numpy()
    difference = np.abs(distribution(wanted, item) - distribution(exported.outputs(texts), item)).max()
    if not difference < limit:
        raise NoParity(
            f"the exported student's predictions differ by {difference:.2g} (limit {limit})",
            difference=float(difference),
            limit=limit,
        )
    return float(difference)
