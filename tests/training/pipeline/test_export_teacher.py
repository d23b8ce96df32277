"""Exports of teachers: for one item and for several, of encoders and of a language model.  Each is trained once."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from app.scoring.bundle import CARD
from app.scoring.decoding import Outputs, decode, distribution
from app.scoring.errors import BadBundle
from app.scoring.item import Item
from app.scoring.live_version import activate, versions
from app.scoring.registry import Registry, fallback_on
from app.scoring.teacher import TEACHERS_FOLDER, ExportedTeacher, TeacherBundle, newest_teacher
from tests.programs import run as program
from tests.refusals import refused
from tests.training.conftest import shared, tiny_settings
from tests.training.example_rows import GRADES, ITEM, item_data, marked, some_items
from tests.training.inside import call
from training.calibration.choose import Unfitted, choose_heads, group_threshold
from training.common.cache import key_of
from training.common.quantise import dynamic_int8
from training.common.validation_metric import validation_metric
from training.config import ApiConfig, TrainingConfig
from training.data import ItemData
from training.data.item_groups import groups
from training.data.targets import targets
from training.errors import BadConfig
from training.evaluation.agreement import agreement_on
from training.pipeline.export_teacher import export_teacher, export_teachers
from training.pipeline.group_run import GroupRun
from training.pipeline.prepare import prepare, train_teacher
from training.pipeline.run import train
from training.teacher.api import ApiTeacher
from training.teacher.encoder import ScoringEncoder
from training.teacher.ensemble import FineTuned, Member

pytestmark = pytest.mark.torch
ANY, NONE = 10.0, -10.0  # losses of merit: every int8 form is good enough; none is
TEXTS = ["air", *(row.text for row in marked(30, seed=7)), " ".join(row.text for row in marked(30)), "Ω → ∞ 🙂, 3/4"]


class Made(NamedTuple):
    """An export in float32, and everything that it was made from."""

    models: Path
    cache: Path
    config: TrainingConfig
    data: list[ItemData]
    run: GroupRun
    bundle: TeacherBundle

    @property
    def folder(self) -> Path:
        return self.models / TEACHERS_FOLDER / self.bundle.name / self.bundle.version

    def torch_outputs(self, item: Item, texts: list[str]) -> Outputs:
        """Return torch's outputs for single texts: padding changes the last digits."""
        teacher = self.run.teacher
        assert isinstance(teacher, FineTuned)
        return np.concatenate([teacher.outputs([text], self.run.context(item)) for text in texts])

    def again(self, models: Path, loss: float) -> TeacherBundle:
        return export_teacher(self.run, "0" * 64, models, loss)


def settings_of(kind: str, request: pytest.FixtureRequest) -> tuple[list[ItemData], TrainingConfig]:
    base: Path = request.getfixturevalue("tiny_decoder" if kind == "decoder" else "tiny_encoder")
    config = tiny_settings(base).model_copy(update={"human_margin": 1.0})  # any threshold will do
    if kind in ("shared", "decoder"):
        return some_items(ITEM), shared(config)
    members = config.teacher.model_copy(update={"members": 2 if kind == "points" else 1})
    return [item_data(item=GRADES if kind == "grades" else ITEM)], config.model_copy(update={"teacher": members})


@pytest.fixture(scope="module", params=["points", "grades", "shared", "decoder"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("exported")
    data, config = settings_of(request.param, request)
    [group] = groups(data, config.teacher.own_from)
    run = train_teacher(prepare(group, config, folder / "cache"))
    with pytest.MonkeyPatch.context() as patch:  # each of these networks is converted once
        patch.setattr("training.pipeline.export_teacher.dynamic_int8", cache(dynamic_int8))
        data_sha256 = key_of([group.data_sha256(data_of_item) for data_of_item in group.members])
        bundle = export_teacher(run, data_sha256, folder / "models", NONE)
        yield Made(folder / "models", folder / "cache", config, data, run, bundle)
    shutil.rmtree(folder, ignore_errors=True)


def only(*kinds: str) -> pytest.MarkDecorator:
    """Select kinds of exports, each of which takes seconds."""
    return pytest.mark.parametrize("made", kinds, indirect=True)


def test_exported_teacher_gives_the_outputs_of_the_trained_teacher(made: Made) -> None:
    exported = ExportedTeacher.load(made.folder)

    assert made.bundle.precision == "float32"
    for data in made.data:
        taught = exported.taught(data.item)
        given = exported.network.outputs(taught.context, TEXTS)
        expected = made.torch_outputs(data.item, TEXTS)
        assert np.abs(given - expected).max() < 1e-3
        assert np.ptp(distribution(given, data.item)[:, 0]) > 1e-2  # it tells responses apart
        assert taught.context == made.run.context(data.item)


def test_exported_teacher_holds_exactly_the_items_it_was_trained_on(made: Made) -> None:
    exported = ExportedTeacher.load(made.folder)

    assert [item.item for item in exported.bundle.items] == [data.item for data in made.data]
    assert exported.bundle == made.bundle
    for data in made.data:
        assert exported.taught(data.item).item == data.item
        assert newest_teacher(made.models, data.item) == (made.bundle.name, made.bundle.version)
        with refused(BadBundle, "not_taught", item_id=data.item.item_id):
            exported.taught(data.item.model_copy(update={"prompt": "Why does cold fall?"}))


def test_exported_teacher_is_named_after_its_item_or_as_shared(made: Made) -> None:
    name = made.bundle.name

    assert name == made.data[0].item.item_id if len(made.data) == 1 else name.startswith("shared-")
    assert made.bundle.members == len(list(made.folder.glob("member-*.onnx"))) == made.config.teacher.members
    assert versions(made.folder.parent) == [made.bundle.version]


def test_items_that_share_a_teacher_have_contexts_of_their_own(made: Made) -> None:
    contexts = [item.context for item in made.bundle.items]

    assert contexts == ([""] if len(made.data) == 1 else [made.run.context(data.item) for data in made.data])
    assert len(set(contexts)) == len(made.data)
    if len(made.data) > 1:
        exported = ExportedTeacher.load(made.folder)
        first, second = (exported.network.outputs(context, TEXTS[:5]) for context in contexts[:2])
        assert np.abs(first - second).max() > 1e-3


def test_head_and_threshold_are_chosen_on_outputs_of_the_exported_files(made: Made) -> None:
    exported = ExportedTeacher.load(made.folder)
    held_out = [
        Unfitted(
            parts,
            exported.network.outputs(item.context, [row.text for row in parts.validation]),
        )
        for item, parts in zip(exported.bundle.items, made.run.parts, strict=True)
    ]
    heads = choose_heads(held_out)

    assert [item.head for item in exported.bundle.items] == heads
    threshold = group_threshold(held_out, heads, made.config)
    assert threshold is not None or len(made.data) > 1  # what tells items apart is not enough
    assert [item.threshold for item in exported.bundle.items] == [threshold] * len(made.data)
    human = np.concatenate([targets(outputs.parts.item, [row.value for row in outputs.rows]) for outputs in held_out])
    items = [outputs.parts.item.item_id for outputs in held_out for _ in outputs.rows]
    merit = validation_metric(
        made.data[0].item, human.tolist(), np.concatenate([outputs.validation for outputs in held_out]), items
    )
    assert made.bundle.merit["float32"] == pytest.approx(merit)


def test_each_item_is_measured_on_its_own_dev_rows(made: Made) -> None:
    exported = ExportedTeacher.load(made.folder)

    for exported_item, data in zip(exported.bundle.items, made.data, strict=True):
        scores = decode(
            exported.network.outputs(exported_item.context, [row.text for row in data.dev]),
            exported_item.item,
            exported_item.head,
        )
        assert exported_item.agreement == agreement_on(data.item, data.dev, scores)
        assert (exported_item.agreement is None) is (not data.dev)


def test_card_names_version_precision_and_items(made: Made) -> None:
    card = (made.folder / CARD).read_text()

    assert f"_teachers/{made.bundle.name}/{made.bundle.version}" in card
    assert "float32" in card
    for data in made.data:
        assert f"| {data.item.item_id} | {len(data.dev) or '-'} |" in card
    assert not any(row.text in card for data in made.data for row in data.train)


@only("shared", "decoder")
@pytest.mark.parametrize(("loss", "precision"), [(ANY, "int8"), (NONE, "float32")])
def test_int8_is_chosen_only_where_it_scores_well_enough(
    made: Made, tmp_path: Path, loss: float, precision: str
) -> None:
    bundle = made.again(tmp_path, loss)

    assert bundle.precision == precision
    assert set(bundle.merit) == {"float32", "int8"}
    assert bundle.merit["float32"] == pytest.approx(made.bundle.merit["float32"])
    item = made.data[0].item
    whole, given = (
        distribution(ExportedTeacher.load(folder).network.outputs(bundle.items[0].context, TEXTS), item)
        for folder in (made.folder, tmp_path / TEACHERS_FOLDER / bundle.name / bundle.version)
    )
    apart = np.abs(whole - given).max()
    assert (0 < apart < 0.2) if precision == "int8" else apart == 0


@only("shared")
def test_allowed_int8_loss_is_counted_from_float32(made: Made, tmp_path: Path) -> None:
    lost = made.bundle.merit["float32"] - made.bundle.merit["int8"]

    just, too_little = (made.again(tmp_path / name, lost + more) for name, more in (("a", 1e-9), ("b", -1e-9)))

    assert (just.precision, too_little.precision) == ("int8", "float32")


def test_second_export_only_reads_the_first(made: Made) -> None:
    files = {path: path.stat().st_mtime_ns for path in made.folder.iterdir()}

    [again] = export_teachers(made.data, made.models, made.config, made.cache)

    assert again == made.bundle
    assert versions(made.folder.parent) == [made.bundle.version]
    assert {path: path.stat().st_mtime_ns for path in made.folder.iterdir()} == files


@only("grades")
def test_other_data_settings_or_version_or_damage_leads_to_a_new_export(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made.again(tmp_path, NONE)
    assert made.again(tmp_path, NONE) == first

    changed = made.config.model_copy(update={"target_agreement": 0.7})
    of_settings = export_teacher(replace(made.run, config=changed), "0" * 64, tmp_path)
    assert of_settings.version != first.version
    assert export_teacher(made.run, "1" * 64, tmp_path).version != first.version

    (tmp_path / TEACHERS_FOLDER / first.name / first.version / "member-1.onnx").write_bytes(b"something else")
    anew = made.again(tmp_path, NONE)
    assert anew.version != first.version
    assert anew.items == first.items

    monkeypatch.setattr("training.bundle.provenance.software", lambda: anew.provenance.software | {"scorelet": "99"})
    assert made.again(tmp_path, NONE).version != anew.version


@only("grades", "shared")
def test_teacher_that_was_not_fine_tuned_here_is_not_exported(made: Made, tmp_path: Path) -> None:
    api = ApiConfig(url="http://127.0.0.1:9/v1", model="elsewhere")
    teachers = [None] if made.data[0].item.is_continuous else [None, ApiTeacher(made.data[0].item, api, tmp_path)]

    for teacher in teachers:
        with refused(BadConfig, "no_teacher_to_export"):
            export_teacher(replace(made.run, teacher=teacher), "0" * 64, tmp_path / "models")

    assert not (tmp_path / "models").exists()


def byte_teacher(item: Item, sep_token: str | None) -> FineTuned:
    """Return an untrained teacher whose tokens are bytes, ends of lines too, which tokenizers of words drop."""
    alphabet = ["[PAD]", "[SEP]", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(BPE({sign: number for number, sign in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(alphabet), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128,
    )  # fmt: skip
    network = ScoringEncoder(BertModel(config), item, 0.1).eval()
    with torch.no_grad():
        network.head.weight.mul_(50)
    kept = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token="[PAD]", sep_token=sep_token
    )
    return FineTuned("untrained", (Member(network, (), None),), kept, 128)


@only("shared")
@pytest.mark.parametrize(("sep_token", "between"), [(None, "\n"), ("[SEP]", "")])
def test_context_and_response_are_separated_as_in_training(
    made: Made, tmp_path: Path, sep_token: str | None, between: str
) -> None:
    teacher = byte_teacher(ITEM, sep_token)

    bundle = export_teacher(replace(made.run, teacher=teacher), "0" * 64, tmp_path, NONE)

    exported = ExportedTeacher.load(tmp_path / TEACHERS_FOLDER / bundle.name / bundle.version)
    context = bundle.items[0].context
    assert (bundle.between, len(context) > 0) == (between, True)
    expected = np.concatenate([teacher.outputs([text], context) for text in TEXTS])
    assert np.abs(exported.network.outputs(context, TEXTS) - expected).max() < 1e-3
    ended = exported.network.outputs(context, [f"\n{text}" for text in TEXTS])
    assert np.abs(ended - expected).max() > 1e-2  # the end of a line tells


@only("grades", "shared")
def test_students_fall_back_on_an_exported_teacher(made: Made, tmp_path: Path) -> None:
    """Train from the same cache, so that only the students are made."""
    models = Path(shutil.copytree(made.models, tmp_path / "models"))
    for bundle in train(made.data, models, made.config, made.cache):
        behind = fallback_on(models, bundle.item, "unsure")
        activate(models / bundle.item.item_id, bundle.version, by="a test", reason="to test", fallback=behind)

    registry = Registry.from_folder(models)

    assert (registry.without_teacher, registry.refused) == ({}, {})
    exported = ExportedTeacher.load(made.folder)
    for data in made.data:
        live, taught = registry.live[data.item.item_id], exported.taught(data.item)
        assert live.second is not None
        for text in TEXTS[:5]:
            assert live.second.score(text) == exported.score(taught, text)


def test_exported_teacher_of_a_run_can_be_activated_as_fallback(tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text(ITEM.model_dump_json() + "\n")
    for part, rows in (("train", marked(80)), ("dev", marked(20, seed=1))):
        lines = [f'{{"item_id": "heat-1", "response": "{row.text}", "score": {row.value}}}\n' for row in rows]
        (tmp_path / f"{part}.jsonl").write_text("".join(lines))
    (tmp_path / "quick.toml").write_text(
        "[teacher]\nown_from = 1\nmembers = 1\nmax_epochs = 1\nmin_steps = 5\nmax_tokens = 64\n"
        "[text]\naugmented_per_response = 1\n[distillation]\nepochs = 1\nmin_steps = 20\n"
        "[student]\nembedding = 8\nhidden = 8\n"
    )
    models = tmp_path / "models"

    done = call(
        "run", "--data", tmp_path, "--models", models, "--cache", tmp_path / "cache",
        "--config", tmp_path / "quick.toml", "--base", tiny_encoder, "--export-teacher",
    )  # fmt: skip

    assert done.code == 0, done.stderr
    [version] = versions(models / TEACHERS_FOLDER / "heat-1")
    assert f"_teachers/heat-1/{version}" in done.stdout
    live = program(
        "scorelet", "bundle", "activate", "heat-1", "--by", "Ana", "--fall-back", "unsure", "--models", models
    )
    assert live.returncode == 0, live.stderr
    assert f"heat-1/{version} (unsure)" in live.stdout
    assert Registry.from_folder(models).live["heat-1"].second is not None
