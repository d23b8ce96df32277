"""A real bundle that anyone can compute in their head: it scores a response by its number of words, up to the top."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel

from app.scoring.active import activate
from app.scoring.agreement import Agreement
from app.scoring.bundle import CARD, METADATA, STUDENT, TOKENIZER, Bundle, Head, Provenance, sha256
from app.scoring.featurizer import SPECIAL, START, UNKNOWN
from app.scoring.item import Item

WORDS = ["heat rises because warm air is lighter than cold air", "warm air goes up and cold air sinks"]
AGREEMENT = Agreement(n=40, exact=0.9, adjacent=1.0, qwk=0.9, smd=0.01, macro_f1=0.88, human_qwk=0.95, human_exact=0.93)


def write_tiny_bundle(
    models: Path,
    item_id: str = "heat-1",
    *,
    version: str = "20260101T000000Z-00000001",
    mode: str = "auto",
    threshold: float | None = 0.8,
    item: dict[str, Any] | None = None,
    student: bytes | None = None,
) -> Path:
    """Write and activate it; the folder.  `item` replaces the scale, `student` the model file."""
    described = Item.model_validate(
        {"item_id": item_id, "prompt": "Why does heat rise?"} | (item or {"scale": "points", "max_score": 3})
    )
    folder = models / item_id / version
    folder.mkdir(parents=True)
    (folder / TOKENIZER).write_bytes(word_tokenizer())
    (folder / STUDENT).write_bytes(student or word_count_onnx(described.choices))
    (folder / CARD).write_text("# A tiny bundle\n")
    bundle = Bundle(
        version=version,
        item=described,
        head=Head(cuts=None),
        max_tokens=64,
        threshold=threshold,
        parameters=1,
        agreement=AGREEMENT,
        provenance=Provenance(
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            data_sha256="0" * 64,
            teacher=None,
            teacher_agreement=None,
            config={},
            seed=0,
            software={},
        ),
        sha256={name: sha256((folder / name).read_bytes()) for name in (TOKENIZER, STUDENT, CARD)},
    )
    (folder / METADATA).write_text(bundle.model_dump_json())
    activate(models / item_id, version, mode=mode, by="a test", reason="to test")  # type: ignore[arg-type]
    return folder


def word_tokenizer() -> bytes:
    """One token a word, so that tokens can be counted in one's head; the student proper reads pieces of words."""
    words = dict.fromkeys(word for text in WORDS for word in text.split())
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, SPECIAL.index(START))]
    )
    return tokenizer.to_str().encode()


def word_count_onnx(
    choices: int, *, outputs: str = "logits", sharpness: float = 3.0, dtype: int = TensorProto.FLOAT
) -> bytes:
    """ids (batch, tokens) → logits (batch, choices): -sharpness · (min(words, choices - 1) - choice)²"""
    constants: dict[str, Any] = {
        "zero": np.array(0, np.int64),
        "start": np.array(1, np.float32),  # the START token is no word
        "top": np.array(choices - 1, np.float32),
        "choices": np.arange(choices, dtype=np.float32)[None],
        "scale": np.array(-sharpness, np.float32),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Equal", ["ids", "zero"], ["padding"]),
        helper.make_node("Not", ["padding"], ["token"]),
        helper.make_node("Cast", ["token"], ["one"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["one", "axis"], ["tokens"], keepdims=1),
        helper.make_node("Sub", ["tokens", "start"], ["words"]),
        helper.make_node("Min", ["words", "top"], ["capped"]),
        helper.make_node("Sub", ["capped", "choices"], ["off"]),
        helper.make_node("Mul", ["off", "off"], ["squared"]),
        helper.make_node("Mul", ["squared", "scale"], ["float_logits"]),
        helper.make_node("Cast", ["float_logits"], [outputs], to=dtype),
    ]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info(outputs, dtype, ["batch", choices])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
