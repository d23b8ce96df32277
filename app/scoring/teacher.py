"""A teacher exported for fall-back: encoders that read an item's question and a response, run without torch.

    models/_teachers/<name>/<version>/teacher.json, tokenizer.json, member-1.onnx, ..., card.md

One bundle may serve many items, each with cuts, calibration and a threshold of its own.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

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
    """How this teacher's outputs become scores of one item."""

    item: Item
    context: str = Field(description="What it reads before a response: nothing if it knows one item only.")
    head: Head
    threshold: float | None = Field(ge=0, le=1, description="Confidence from which its score may stand.")
    agreement: Agreement | None = Field(description="With the human score on dev, of these very files.")

    @model_validator(mode="after")
    def _head_fits_the_scale(self) -> Self:
        self.head.check(self.item)
        return self


class TeacherBundle(FrozenModel):
    """teacher.json"""

    format: Literal[1] = 1
    name: Name
    version: Name
    items: tuple[TaughtItem, ...] = Field(min_length=1)
    members: int = Field(ge=1, le=16)
    max_tokens: int = Field(ge=8, le=8192)
    between: str = Field(max_length=8, description="Put between context and response, where there is a context.")
    precision: Literal["float32", "int8"]
    merit: dict[Literal["float32", "int8"], float] = Field(description="On validation: QWK, macro-F1, or minus RMSE.")
    provenance: Provenance
    sha256: dict[str, str]

    @property
    def title(self) -> str:
        return f"{self.name}/{self.version}"

    @model_validator(mode="after")
    def _items_share_a_scale(self) -> Self:
        if len({(own.item.is_continuous, output_columns(own.item)) for own in self.items}) != 1:
            raise PydanticCustomError("several_scales", "items of one teacher have the same number of scores")
        return self


class TeacherNetwork:
    """Tokenizer and members as one function.  Each response is run alone: int8 scales depend on the whole batch."""

    def __init__(self, tokenizer: bytes, members: Sequence[bytes], max_tokens: int, between: str, item: Item) -> None:
        """Raises BadBundle."""
        with refusing(f"{TOKENIZER} cannot be read", code="cannot_be_read", file=TOKENIZER):
            self._tokenizer = Tokenizer.from_buffer(tokenizer)
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(max_tokens, strategy="longest_first")
        names = member_names(len(members))
        self._sessions = [load_session(content, name) for content, name in zip(members, names, strict=True)]
        self._between, self._continuous, self._columns = between, item.is_continuous, output_columns(item)
        with refusing("a member cannot be used", code="cannot_be_used"):  # the names in it, say, need not be UTF-8
            unknown = {tensor.name for session in self._sessions for tensor in session.get_inputs()} - set(INPUTS)
            given = [sorted(tensor.name for tensor in session.get_outputs()) for session in self._sessions]
        if unknown:
            raise BadBundle(
                f"a member takes {sorted(unknown)}, of which we know nothing",
                code="unknown_inputs",
                inputs=sorted(unknown),
            )
        if wrong := [names for names in given if OUTPUT not in names]:
            raise BadBundle(f"a member gives {wrong[0]}, not {OUTPUT}", code="wrong_outputs", found=wrong[0])

    def outputs(self, context: str, responses: Sequence[str]) -> Outputs:
        """(responses, columns): the mixture of the members' distributions."""
        rows = [self._one(context, text) for text in responses]
        return np.asarray(np.stack(rows) if rows else np.zeros((0, self._columns)), np.float32)

    def _one(self, context: str, response: str) -> NDArray[np.float32]:
        with no_panic():
            encoding = self._tokenizer.encode(*((context, self._between + response) if context else (response,)))
        given = dict(zip(INPUTS, (encoding.ids, encoding.attention_mask, encoding.type_ids), strict=True))
        tensors = {name: np.array([values], np.int64) for name, values in given.items()}
        each = [
            session.run([OUTPUT], {own.name: tensors[own.name] for own in session.get_inputs()})[0]
            for session in self._sessions
        ]
        if wrong := {own.shape for own in each} - {(1, self._columns)}:
            raise BadBundle(
                f"a member gives outputs of shape {sorted(wrong)}, the items need {(1, self._columns)}",
                code="wrong_shape",
                found=sorted(wrong),
                needed=(1, self._columns),
            )
        return np.asarray(mixture(np.stack(each), self._continuous)[0])


def mixture(each: NDArray[np.float32], continuous: bool) -> NDArray[np.float32]:
    """(networks, batch, columns) → (batch, columns): logarithm of the mean probability; mean and variance of grades."""
    if continuous:
        means, variances = each[..., 0], each[..., 1]
        return np.asarray(np.stack([means.mean(0), variances.mean(0) + means.var(0)], axis=1), np.float32)
    probabilities = np.stack([softmax(own) for own in each]).mean(0)
    return np.asarray(np.log(np.maximum(probabilities, 1e-30)), np.float32)


class ExportedTeacher:
    """A teacher bundle, loaded whole.  Safe to share between threads."""

    def __init__(self, bundle: TeacherBundle, network: TeacherNetwork, metadata_sha256: str) -> None:
        self.bundle = bundle
        self.metadata_sha256 = metadata_sha256  # of teacher.json, as ACTIVE has it
        self.network = network
        self._taught = {own.item.item_id: own for own in bundle.items}

    @property
    def title(self) -> str:
        return self.bundle.title

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Every file read and checked against teacher.json, and probed.  Raises BadBundle with the reason."""
        bundle, metadata = read_metadata(folder, TEACHER_JSON, TeacherBundle)
        check_names(bundle, TEACHER_JSON, [TOKENIZER, CARD, *member_names(bundle.members)])
        contents = read_files(folder, bundle, TEACHER_JSON, MAX_MEMBER_BYTES)
        members = [contents[name] for name in member_names(bundle.members)]
        first = bundle.items[0]
        network = TeacherNetwork(contents[TOKENIZER], members, bundle.max_tokens, bundle.between, first.item)
        with refusing("it fails on a probe response", code="probe_failed"):
            outputs = network.outputs(first.context, [PROBE_RESPONSE])
        if not np.isfinite(outputs).all():
            raise BadBundle("it gives outputs that are not finite for a probe response", code="not_finite")
        if first.item.is_continuous and not (outputs[:, 1] > 0).all():
            raise BadBundle(
                "it gives a variance that is not above 0 for a probe response", code="variance_not_positive"
            )
        return cls(bundle, network, sha256(metadata))

    def taught(self, item: Item) -> TaughtItem:
        """Raises BadBundle for another question, or for this one on another scale."""
        own = self._taught.get(item.item_id)
        if own is None or not own.item.asks_the_same_as(item):
            raise BadBundle(
                f"it was not taught item {item.item_id!r} as this question on this scale",
                code="not_taught",
                item_id=item.item_id,
            )
        return own

    def score(self, taught: TaughtItem, response: str) -> Score:
        [score] = decode(self.network.outputs(taught.context, [response]), taught.item, taught.head)
        return score


def member_names(count: int) -> list[str]:
    return [f"member-{number}.onnx" for number in range(1, count + 1)]


def teacher_folder(models: Path, name: str, version: str) -> Path:
    """Raises BadBundle where there is none, it cannot be read, or the names are not such."""
    folder = models / TEACHERS_FOLDER / name / version
    try:
        if not (is_name(name) and is_name(version) and folder.is_dir()):
            raise BadBundle(f"there is no teacher {name}/{version}", code="no_teacher", name=name, version=version)
    except OSError as error:  # a folder above that others may not enter, say
        raise BadBundle(
            f"the folder of teacher {name}/{version} cannot be read: {error.strerror}",
            code="folder_unreadable",
            name=name,
            version=version,
        ) from None
    return folder


def newest_teacher(models: Path, item: Item) -> tuple[str, str]:
    """Name and version of the newest teacher that was taught this question.  Raises BadBundle where there is none."""
    found = []
    for path in (models / TEACHERS_FOLDER).glob(f"*/*/{TEACHER_JSON}"):
        with suppress(BadBundle, ValidationError):
            bundle = TeacherBundle.model_validate_json(read_plain(path.parent, TEACHER_JSON))
            if any(own.item.item_id == item.item_id for own in bundle.items):
                found.append((bundle.version, bundle.name))
    if not found:
        raise BadBundle(
            f"no teacher under {models / TEACHERS_FOLDER} was taught item {item.item_id!r}: run with --export-teacher",
            code="none_taught",
            item_id=item.item_id,
        )
    version, name = max(found)
    return name, version
