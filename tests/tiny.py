"""A real bundle whose scores a reader can compute: the score is the number of words, up to the highest score.

On a continuous scale, four words earn the largest grade, and the standard deviation is a tenth of the scale.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel

from app.scoring.agreement import Agreement
from app.scoring.bundle import (
    CARD,
    METADATA,
    STUDENT,
    TOKENIZER,
    Bundle,
    Head,
    Interval,
    PredictionSet,
    Provenance,
)
from app.scoring.bundle_files import sha256
from app.scoring.conditions import Examination, Limits
from app.scoring.evidence import AttackFigures, Evidence
from app.scoring.featurizer import SPECIAL, START, UNKNOWN
from app.scoring.gate import Policy
from app.scoring.item import Item
from app.scoring.live_version import BlankIsWorst, activate
from app.scoring.text import is_blank

WORDS = ["heat rises because warm air is lighter than cold air", "warm air goes up and cold air sinks"]
AGREEMENT = Agreement(n=40, exact=0.9, adjacent=1.0, qwk=0.9, smd=0.01, macro_f1=0.88, human_qwk=0.95, human_exact=0.93)
GRADE_AGREEMENT = Agreement(
    n=40, exact=0.8, adjacent=None, qwk=0.9, smd=0.01, macro_f1=None, rmse=0.4, mae=0.3, pearson=0.91, coverage=0.9,
    human_qwk=0.95, human_exact=0.93, human_rmse=0.2,
)  # fmt: skip
NINE_TENTHS = Interval(coverage=0.9, deviations=NormalDist().inv_cdf(0.95))  # exact if the variance is
FULL_MARKS = 4  # words that earn the best grade of a continuous item


LIKELY = PredictionSet(coverage=0.9, least=0.02)
GOOD_EVIDENCE = Evidence(
    ece=0.02,
    ece_uncalibrated=0.03,
    coverage=0.91,
    set_size=1.2,
    attacks={"characters": AttackFigures(n=50, accepted=0.0, unguarded=0.5, junk=True)},
)  # passes the gate of LENIENT
LENIENT = Policy(min_responses=40)
NO_LIMITS = Limits()
BY_ANA = BlankIsWorst(by="Ana", at=datetime(2026, 1, 2, tzinfo=UTC), reason="an empty answer earns nothing")


class BlanksOnly:
    """An examiner that holds back blank responses only."""

    def examine(self, response: str, _: object = None) -> Examination:
        return Examination("blank" if is_blank(response) else None)


def write_tiny_bundle(
    models: Path,
    item_id: str = "heat-1",
    *,
    version: str = "20260101T000000Z-00000001",
    mode: str = "auto",
    threshold: float | None = 0.8,
    item: dict[str, Any] | None = None,
    student: bytes | None = None,
    limits: Limits = NO_LIMITS,
    policy: Policy = LENIENT,
    config: dict[str, Any] | None = None,
    blank_is_worst: BlankIsWorst | None = None,
) -> Path:
    """Write and activate a bundle; return its folder.  `item` replaces the scale, `student` the ONNX graph."""
    described = Item.model_validate(
        {"item_id": item_id, "prompt": "Why does heat rise?"} | (item or {"scale": "points", "max_score": 3})
    )
    folder = models / item_id / version
    folder.mkdir(parents=True)
    (folder / TOKENIZER).write_bytes(word_tokenizer())
    graph = word_grade_onnx() if described.is_continuous else word_count_onnx(described.choices)
    (folder / STUDENT).write_bytes(student or graph)
    (folder / CARD).write_text("# A tiny bundle\n")
    bundle = Bundle(
        version=version,
        item=described,
        head=Head(
            cuts=None,
            interval=NINE_TENTHS if described.is_continuous else None,
            prediction_set=None if described.is_continuous else LIKELY,
        ),
        max_tokens=64,
        limits=limits,
        flagged={},
        threshold=threshold,
        parameters=1,
        agreement=GRADE_AGREEMENT if described.is_continuous else AGREEMENT,
        evidence=GOOD_EVIDENCE,
        policy=policy,
        provenance=Provenance(
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            data_sha256="0" * 64,
            teacher=None,
            teacher_agreement=None,
            config=config or {},
            seed=0,
            software={},
        ),
        sha256={name: sha256((folder / name).read_bytes()) for name in (TOKENIZER, STUDENT, CARD)},
    )
    (folder / METADATA).write_text(bundle.model_dump_json())
    activate(
        models / item_id, version, by="a test", reason="to test",
        mode=mode, blank_is_worst=blank_is_worst,  # type: ignore[arg-type]
    )  # fmt: skip
    return folder


def word_tokenizer() -> bytes:
    """Return a tokenizer with one token per word, so that tokens are easy to count.  Real students read pieces."""
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
    """Return a graph: ids (batch, tokens) → logits (batch, choices).

    logit = -sharpness · (min(words, choices - 1) - choice)²
    """
    constants: dict[str, Any] = {
        "top": np.array(choices - 1, np.float32),
        "choices": np.arange(choices, dtype=np.float32)[None],
        "scale": np.array(-sharpness, np.float32),
    }
    nodes = [
        helper.make_node("Min", ["words", "top"], ["capped"]),
        helper.make_node("Sub", ["capped", "choices"], ["off"]),
        helper.make_node("Mul", ["off", "off"], ["squared"]),
        helper.make_node("Mul", ["squared", "scale"], ["float_logits"]),
        helper.make_node("Cast", ["float_logits"], [outputs], to=dtype),
    ]
    return of_words(nodes, constants, [helper.make_tensor_value_info(outputs, dtype, ["batch", choices])])


def word_grade_onnx(
    *, outputs: tuple[str, str] = ("mean", "variance"), rank: int = 1, variance: float = 0.01, offset: float = 0.0
) -> bytes:
    """Return a graph: ids (batch, tokens) → mean offset + min(words, 4) / 4 and a constant variance, both (batch)."""
    constants: dict[str, Any] = {
        "top": np.array(FULL_MARKS, np.float32),
        "nothing": np.array(0, np.float32),
        "offset": np.array(offset, np.float32),
        "spread": np.array(variance, np.float32),
        "shape": np.array([-1] + [1] * (rank - 1), np.int64),
    }
    nodes = [
        helper.make_node("Min", ["words", "top"], ["capped"]),
        helper.make_node("Div", ["capped", "top"], ["share"]),
        helper.make_node("Add", ["share", "offset"], ["moved"]),
        helper.make_node("Reshape", ["moved", "shape"], [outputs[0]]),
        helper.make_node("Mul", ["share", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "spread"], ["spreads"]),
        helper.make_node("Reshape", ["spreads", "shape"], [outputs[1]]),
    ]
    shape: list[str | int | None] = ["batch", 1]
    return of_words(
        nodes, constants, [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape[:rank]) for name in outputs]
    )


def of_words(nodes: Sequence[Any], constants: dict[str, Any], outputs: Sequence[Any]) -> bytes:
    """Return a graph from ids to outputs, given its nodes from `words`, (batch, 1), to the outputs."""
    constants = constants | {
        "padding_id": np.array(0, np.int64),
        "start": np.array(1, np.float32),  # START is not a word
        "axis": np.array([1], np.int64),
    }
    counted = [
        helper.make_node("Equal", ["ids", "padding_id"], ["padding"]),
        helper.make_node("Not", ["padding"], ["token"]),
        helper.make_node("Cast", ["token"], ["one"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["one", "axis"], ["tokens"], keepdims=1),
        helper.make_node("Sub", ["tokens", "start"], ["words"]),
    ]
    graph = helper.make_graph(
        [*counted, *nodes],
        "words",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"])],
        list(outputs),
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
