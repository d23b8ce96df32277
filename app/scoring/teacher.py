"""A teacher exported for fall-back: ONNX encoders that read the question of an item and a response, without torch.

    models/_teachers/<name>/<version>/teacher.json, tokenizer.json, member-1.onnx, ..., card.md

One bundle may serve many items.  Each item has its cuts, calibration and threshold.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from tokenizers import Tokenizer

from app.scoring.agreement import Agreement
from app.scoring.bundle import CARD, TOKENIZER, Head, Provenance
from app.scoring.bundle_files import FrozenModel, check_names, read_files, read_metadata, read_plain, sha256
from app.scoring.decoding import Outputs, Score, decode, output_columns, softmax
from app.scoring.errors import BadBundle, no_panic, refusing
from app.scoring.item import Item, Name, is_name
from app.scoring.network import load_session

TEACHERS_FOLDER, TEACHER_JSON = "_teachers", "teacher.json"
MAX_MEMBER_BYTES = 4 * 2**30
PROBE_RESPONSE = "A probe response, 3/4 > 0.5."
OUTPUT = "outputs"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class TaughtItem(FrozenModel):
    """An item of a teacher, with the head that turns the teacher's outputs into scores."""

    item: Item
    context: str = Field(description="Text before each response; empty if the teacher has one item only.")
    head: Head
    threshold: float | None = Field(ge=0, le=1, description="Least confidence of a score that may stand.")
    agreement: Agreement | None = Field(description="Agreement with human scores on dev, of these files.")

    @model_validator(mode="after")
    def _head_fits_the_scale(self) -> Self:
        self.head.check(self.item)
        return self


class TeacherBundle(FrozenModel):
    """The content of teacher.json."""

    format: Literal[1] = 1
    name: Name
    version: Name
    items: tuple[TaughtItem, ...] = Field(min_length=1)
    members: int = Field(ge=1, le=16)
    max_tokens: int = Field(ge=8, le=8192)
    between: str = Field(max_length=8, description="Text between context and response, if there is a context.")
    precision: Literal["float32", "int8"]
    merit: dict[Literal["float32", "int8"], float] = Field(description="QWK, macro-F1 or minus RMSE on validation.")
    provenance: Provenance
    sha256: dict[str, str]

    @property
    def title(self) -> str:
        return f"{self.name}/{self.version}"

    @model_validator(mode="after")
    def _items_share_a_scale(self) -> Self:
        items = [taught.item for taught in self.items]
        kinds = {(item.is_continuous, output_columns(item)) for item in items}
        if len(kinds) != 1:
            raise PydanticCustomError("several_scales", "the items of a teacher must have the same number of scores")
        return self


class TeacherNetwork:
    """Tokenizer and members as one function.  Each response runs alone, because int8 scales depend on the batch."""

    def __init__(self, tokenizer: bytes, members: Sequence[bytes], max_tokens: int, between: str, item: Item) -> None:
        """Load and check the network from the contents of tokenizer.json and of each member's ONNX file.

        Raises BadBundle if a file cannot be used, or if a member has wrong inputs or outputs.
        """
        with refusing(f"{TOKENIZER} cannot be read", code="cannot_be_read", file=TOKENIZER):
            self._tokenizer = Tokenizer.from_buffer(tokenizer)
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(max_tokens, strategy="longest_first")
        names = member_names(len(members))
        self._sessions = [load_session(content, name) for content, name in zip(members, names, strict=True)]
        self._between, self._continuous, self._columns = between, item.is_continuous, output_columns(item)
        with refusing("a member cannot be used", code="cannot_be_used"):  # e.g. names not in UTF-8
            self._inputs = [_names(session.get_inputs()) for session in self._sessions]
            outputs = [_names(session.get_outputs()) for session in self._sessions]
        unknown = {name for member in self._inputs for name in member if name not in INPUTS}
        if unknown:
            raise BadBundle(
                f"a member takes unknown inputs: {sorted(unknown)}", code="unknown_inputs", inputs=sorted(unknown)
            )
        if wrong := [sorted(names) for names in outputs if OUTPUT not in names]:
            raise BadBundle(f"a member gives {wrong[0]}, not {OUTPUT}", code="wrong_outputs", found=wrong[0])

    def outputs(self, context: str, responses: Sequence[str]) -> Outputs:
        """Return the mixture of the members' outputs: shape (responses, columns).

        Raises BadBundle if a member gives outputs of a wrong shape.
        """
        if not responses:
            return np.zeros((0, self._columns), np.float32)
        rows = [self._row(context, text) for text in responses]
        return np.asarray(np.stack(rows), np.float32)

    def _row(self, context: str, response: str) -> NDArray[np.float32]:
        texts = (context, self._between + response) if context else (response,)
        with no_panic():
            encoding = self._tokenizer.encode(*texts)
        lists = zip(INPUTS, (encoding.ids, encoding.attention_mask, encoding.type_ids), strict=True)
        tensors = {name: np.array([numbers], np.int64) for name, numbers in lists}
        outputs = []
        for session, names in zip(self._sessions, self._inputs, strict=True):
            outputs += session.run([OUTPUT], {name: tensors[name] for name in names})
        expected = (1, self._columns)
        if wrong := {output.shape for output in outputs if output.shape != expected}:
            raise BadBundle(
                f"a member gives outputs of shape {sorted(wrong)}; the items need {expected}",
                code="wrong_shape",
                found=sorted(wrong),
                needed=expected,
            )
        mixed = mixture(np.stack(outputs), self._continuous)
        return np.asarray(mixed[0])


def _names(tensors: Iterable[Any]) -> list[str]:
    return [tensor.name for tensor in tensors]


def mixture(outputs: NDArray[np.float32], continuous: bool) -> NDArray[np.float32]:
    """Return the mixture of several networks' outputs: shape (batch, columns).

    For points and labels, it is the logarithm of the mean probability.  For grades, the mean is the mean of the means,
    and the variance is the mean of the variances plus the variance of the means.

    Args:
        outputs: outputs of each network, shape (networks, batch, columns).
        continuous: whether the outputs are mean and variance of grades.
    """
    if continuous:
        means, variances = outputs[..., 0], outputs[..., 1]
        variance = variances.mean(0) + means.var(0)
        return np.asarray(np.stack([means.mean(0), variance], axis=1), np.float32)
    probabilities = np.stack([softmax(logits) for logits in outputs])
    mean = np.maximum(probabilities.mean(0), 1e-30)
    return np.asarray(np.log(mean), np.float32)


class ExportedTeacher:
    """A teacher bundle loaded into memory.  Threads may share it."""

    def __init__(self, bundle: TeacherBundle, network: TeacherNetwork, metadata_sha256: str) -> None:
        self.bundle = bundle
        self.metadata_sha256 = metadata_sha256  # of teacher.json; ACTIVE names it too
        self.network = network
        self._taught = {taught.item.item_id: taught for taught in bundle.items}

    @property
    def title(self) -> str:
        return self.bundle.title

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read, check and probe a bundle.  Raises BadBundle with the reason."""
        bundle, metadata = read_metadata(folder, TEACHER_JSON, TeacherBundle)
        check_names(bundle, TEACHER_JSON, [TOKENIZER, CARD, *member_names(bundle.members)])
        contents = read_files(folder, bundle, TEACHER_JSON, MAX_MEMBER_BYTES)
        members = [contents[name] for name in member_names(bundle.members)]
        first = bundle.items[0]
        network = TeacherNetwork(contents[TOKENIZER], members, bundle.max_tokens, bundle.between, first.item)
        with refusing("the teacher fails on a probe response", code="probe_failed"):
            outputs = network.outputs(first.context, [PROBE_RESPONSE])
        if not np.isfinite(outputs).all():
            raise BadBundle("the teacher gives outputs that are not finite for a probe response", code="not_finite")
        if first.item.is_continuous and outputs[0, 1] <= 0:
            raise BadBundle(
                "the teacher gives a variance that is not above 0 for a probe response", code="variance_not_positive"
            )
        return cls(bundle, network, sha256(metadata))

    def taught(self, item: Item) -> TaughtItem:
        """Return the teacher's head for an item.

        Raises BadBundle if the teacher was not trained on this item with this question and this scale.
        """
        taught = self._taught.get(item.item_id)
        if taught is None or not taught.item.asks_the_same_as(item):
            raise BadBundle(
                f"the teacher was not trained on item {item.item_id!r} with this question and this scale",
                code="not_taught",
                item_id=item.item_id,
            )
        return taught

    def score(self, taught: TaughtItem, response: str) -> Score:
        """Return the teacher's score of one response.  Raises BadBundle if a member gives outputs of a wrong shape."""
        outputs = self.network.outputs(taught.context, [response])
        [score] = decode(outputs, taught.item, taught.head)
        return score


def member_names(count: int) -> list[str]:
    """Return the file names of a teacher's members."""
    return [f"member-{number}.onnx" for number in range(1, count + 1)]


def teacher_folder(models: Path, name: str, version: str) -> Path:
    """Return the folder of a teacher.

    Raises BadBundle if the folder does not exist or cannot be read, or if a name is not valid.
    """
    folder = models / TEACHERS_FOLDER / name / version
    try:
        if not (is_name(name) and is_name(version) and folder.is_dir()):
            raise BadBundle(f"there is no teacher {name}/{version}", code="no_teacher", name=name, version=version)
    except OSError as error:  # e.g. no permission for a folder above
        raise BadBundle(
            f"the folder of teacher {name}/{version} cannot be read: {error.strerror}",
            code="folder_unreadable",
            name=name,
            version=version,
        ) from None
    return folder


def newest_teacher(models: Path, item: Item) -> tuple[str, str]:
    """Return name and version of the newest teacher of an item.  Raises BadBundle if there is none."""
    folder = models / TEACHERS_FOLDER
    teachers = []
    for path in folder.glob(f"*/*/{TEACHER_JSON}"):
        with suppress(BadBundle, ValidationError):
            bundle = TeacherBundle.model_validate_json(read_plain(path.parent, TEACHER_JSON))
            if item.item_id in [taught.item.item_id for taught in bundle.items]:
                teachers.append((bundle.version, bundle.name))
    if not teachers:
        raise BadBundle(
            f"no teacher under {folder} was trained on item {item.item_id!r}: train with --export-teacher",
            code="none_taught",
            item_id=item.item_id,
        )
    version, name = max(teachers)
    return name, version
