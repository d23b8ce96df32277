"""A real teacher bundle whose scores a reader can compute: the score is the number of words plus one.

Like the tiny student (tests/tiny.py), this teacher has a confidence of .9526 in the lowest and the best score, and of
.9094 in scores between.  With thresholds of .93, the service asks the teacher about scores between, and the teacher's
score stands if it is the best.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, processors

from app.scoring.bundle import (
    CARD,
    TOKENIZER,
    Head,
    PredictionSet,
    Provenance,
    read_bundle,
)
from app.scoring.bundle_files import sha256
from app.scoring.featurizer import SPECIAL, START
from app.scoring.item import Item
from app.scoring.live_version import Fallback, activate
from app.scoring.teacher import TEACHER_JSON, TEACHERS_FOLDER, TaughtItem, TeacherBundle, member_names
from tests.tiny import FULL_MARKS, NINE_TENTHS, word_tokenizer

NAME, VERSION = "tiny", "20260102T000000Z-0000000a"
SURE = 0.93  # above .9094, below .9526
SLOW = 400_000  # additions in sequence
POINTS = Item(item_id="heat-1", prompt="Why does heat rise?", scale="points", max_score=3)
Segment = Literal["all", "second", "batch"]


def write_tiny_teacher(
    models: Path,
    items: Sequence[Item] = (POINTS,),
    *,
    name: str = NAME,
    version: str = VERSION,
    context: str = "",
    between: str = "",
    threshold: float | None = SURE,
    members: Sequence[bytes] = (),
    tokenizer: bytes | None = None,
    max_tokens: int = 64,
    head: Head | None = None,
) -> Path:
    """Write a teacher and return its folder.  No item falls back on it before a call of `fall_back`."""
    folder = models / TEACHERS_FOLDER / name / version
    folder.mkdir(parents=True)
    graphs = members or (plus_one_onnx(items[0]),)
    contents = {TOKENIZER: tokenizer or pair_tokenizer(), CARD: b"# A tiny teacher\n"}
    contents |= dict(zip(member_names(len(graphs)), graphs, strict=True))
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    bundle = TeacherBundle(
        name=name,
        version=version,
        items=tuple(
            TaughtItem(item=item, context=context, head=head or _head(item), threshold=threshold, agreement=None)
            for item in items
        ),
        members=len(graphs),
        max_tokens=max_tokens,
        between=between,
        precision="float32",
        merit={"float32": 0.9, "int8": 0.5},
        provenance=Provenance(
            created_at=datetime(2026, 1, 2, tzinfo=UTC),
            data_sha256="0" * 64,
            teacher="tiny",
            teacher_agreement=None,
            config={},
            seed=0,
            software={},
        ),
        sha256={file: sha256(content) for file, content in contents.items()},
    )
    (folder / TEACHER_JSON).write_text(bundle.model_dump_json())
    return folder


def fall_back(
    models: Path,
    item_id: str = "heat-1",
    policy: Literal["unsure", "shadow"] = "unsure",
    *,
    mode: Literal["auto", "suggest"] = "auto",
    name: str = NAME,
    version: str = VERSION,
) -> None:
    """Activate the newest student of an item with a fall-back on a teacher, which may be damaged."""
    student = max(path.name for path in (models / item_id).iterdir() if path.is_dir())
    metadata = models / TEACHERS_FOLDER / name / version / TEACHER_JSON
    hashed = sha256(metadata.read_bytes()) if metadata.is_file() else "0" * 64
    behind = Fallback(policy=policy, teacher=name, version=version, metadata_sha256=hashed)
    activate(models / item_id, student, mode=mode, by="a test", reason="to test", fallback=behind)


def item_of(bundle: Path) -> Item:
    """Return the item of a student's bundle."""
    return read_bundle(bundle).bundle.item


def change_metadata(folder: Path, **fields: Any) -> None:
    """Change fields of teacher.json and set right checksums."""
    bundle = TeacherBundle.model_validate_json((folder / TEACHER_JSON).read_text())
    files = {file: sha256((folder / file).read_bytes()) for file in bundle.sha256 if (folder / file).is_file()}
    changed = bundle.model_dump(mode="json") | {"sha256": files} | fields
    (folder / TEACHER_JSON).write_text(TeacherBundle.model_construct(**changed).model_dump_json(warnings=False))


def pair_tokenizer() -> bytes:
    """Return the tiny students' tokenizer for pairs: a context is the segment before the response."""
    tokenizer = Tokenizer.from_buffer(word_tokenizer())
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", pair=f"{START} $A {START} $B:1", special_tokens=[(START, SPECIAL.index(START))]
    )
    return tokenizer.to_str().encode()


def plus_one_onnx(
    item: Item,
    *,
    more: float = 1.0,
    sharpness: float = 3.0,
    variance: float = 0.01,
    counted: Segment = "all",
    inputs: Sequence[str] = ("input_ids", "attention_mask", "token_type_ids"),
    columns: int | None = None,
    rank: int = 2,
    slow_at: str | None = None,
    fails_at: str | None = None,
    output: str = "outputs",
    spoilt: float | None = None,
) -> bytes:
    """Return a graph: ids (batch, tokens) → outputs (batch, columns).

    Logits are -sharpness · (min(words + more, top) - choice)².  Grades have the mean min(words + more, 4) / 4 and a
    constant variance.  `counted` selects the words: of context and response, of the response, or of the whole batch.
    The words `slow_at` and `fails_at` make the graph slow or make it fail.  `spoilt` is added to every output.
    """
    choices = columns or item.choices
    words = Tokenizer.from_buffer(word_tokenizer())
    constants: dict[str, Any] = {
        "start": np.array(SPECIAL.index(START), np.int64),
        "one": np.array(1, np.int64),
        "across": np.array([0, 1] if counted == "batch" else [1], np.int64),
        "more": np.array(more, np.float32),
        "top": np.array(FULL_MARKS if item.is_continuous else item.choices - 1, np.float32),
        "spoilt": np.array(spoilt or 0, np.float32),
        "nothing": np.array(0, np.float32),
    }
    nodes = (
        [helper.make_node("Equal", ["token_type_ids", "one"], ["word"])]
        if counted == "second"
        else [
            helper.make_node("Equal", ["input_ids", "start"], ["is_start"]),
            helper.make_node("Not", ["is_start"], ["word"]),
        ]
    )
    nodes += [
        helper.make_node("Cast", ["word"], ["ones"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["ones", "across"], ["words"], keepdims=1),
        helper.make_node("Add", ["words", "more"], ["plus"]),
    ]
    last = "plus"
    for number, (word, effect) in enumerate([(slow_at, _slow), (fails_at, _fails)]):
        if word is not None:
            constants[f"at_{number}"] = np.array(words.token_to_id(word), np.int64)
            nodes += [*_times(number), *effect(f"times_{number}", f"zero_{number}", constants)]
            nodes.append(helper.make_node("Add", [last, f"zero_{number}"], [f"plus_{number}"]))
            last = f"plus_{number}"
    nodes.append(helper.make_node("Min", [last, "top"], ["capped"]))
    if item.is_continuous:
        constants["spread"] = np.array([[variance] * ((columns or 2) - 1)], np.float32)
        nodes += [
            helper.make_node("Div", ["capped", "top"], ["share"]),
            helper.make_node("Mul", ["share", "nothing"], ["zero"]),
            helper.make_node("Add", ["zero", "spread"], ["spreads"]),
            helper.make_node("Concat", ["share", "spreads"], ["raw"], axis=1),
        ]
    else:
        constants |= {
            "choices": np.arange(choices, dtype=np.float32)[None],
            "scale": np.array(-sharpness, np.float32),
        }
        nodes += [
            helper.make_node("Sub", ["capped", "choices"], ["off"]),
            helper.make_node("Mul", ["off", "off"], ["squared"]),
            helper.make_node("Mul", ["squared", "scale"], ["raw"]),
        ]
    constants["shape"] = np.array([-1, choices or columns or 2] if rank == 2 else [-1], np.int64)
    nodes += [
        helper.make_node("Add", ["raw", "spoilt"], ["whole"]),
        helper.make_node("Reshape", ["whole", "shape"], [output]),
    ]
    graph = helper.make_graph(
        nodes,
        "plus one",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def _times(number: int) -> list[Any]:
    """Return nodes that count a word in the ids."""
    return [
        helper.make_node("Equal", ["input_ids", f"at_{number}"], [f"is_{number}"]),
        helper.make_node("Cast", [f"is_{number}"], [f"ones_{number}"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", [f"ones_{number}"], [f"times_{number}"], keepdims=0),
    ]


def _slow(times: str, zero: str, constants: dict[str, Any]) -> list[Any]:
    """Return nodes that compute 0 after SLOW additions for each occurrence of the word."""
    constants |= {"turns": np.array(SLOW, np.int64), "go_on": np.array(True), "step": np.array(1, np.float32)}
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes"]), helper.make_node("Add", ["sum", "step"], ["summed"])],
        "additions",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("summed", TensorProto.FLOAT, []),
        ],
    )
    return [
        helper.make_node("Mul", [times, "turns"], ["all_turns"]),
        helper.make_node("Loop", ["all_turns", "go_on", "nothing"], ["total"], body=body),
        helper.make_node("Mul", ["total", "nothing"], [zero]),
    ]


def _fails(times: str, zero: str, constants: dict[str, Any]) -> list[Any]:
    """Return nodes that read 0 from a table with one place, and fail if the word occurs."""
    constants["table"] = np.array([0.0], np.float32)
    return [helper.make_node("Gather", ["table", times], [zero])]


def _head(item: Item) -> Head:
    if item.is_continuous:
        return Head(cuts=None, interval=NINE_TENTHS)
    return Head(cuts=None, prediction_set=PredictionSet(coverage=0.9, least=0.02))
