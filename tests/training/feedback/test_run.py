"""The training of a feedback model from rows to a bundle that the service loads, with a tiny language model."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.scoring.feedback.bundle import load_feedback
from app.scoring.feedback.model import LanguageModel
from app.scoring.files.output import ORIGIN_MARK
from tests.refusals import refused
from tests.training.conftest import tiny_settings
from tests.training.feedback.told import ITEM, SAID, write_data
from tests.training.tiny_gguf import write_tiny_gguf
from training.__main__ import cli
from training.cli.options import UsageFailure
from training.common.cache import CACHE
from training.errors import NoWeights
from training.feedback.config import FeedbackConfig
from training.feedback.data import read_feedback
from training.feedback.run import MadeFeedback, make_feedback

LIMITS = {"question_tokens": 32, "reference_tokens": 24, "response_tokens": 32, "feedback_tokens": 48}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Share base, data and cache, so that the verdict reader, the slowest part, is trained once."""
    folder = tmp_path_factory.mktemp("feedback")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def config(home: Path, tiny_encoder: Path) -> FeedbackConfig:
    base = write_tiny_gguf(home / "base.gguf")
    reader = tiny_settings(tiny_encoder)
    longer = {  # enough for a reader that tells good feedback from bad
        "teacher": reader.teacher.model_copy(update={"min_steps": 150}),
        "distillation": reader.distillation.model_copy(update={"min_steps": 300}),
    }
    reader = reader.model_copy(update=longer)
    return FeedbackConfig.model_validate(
        {"base": str(base), "adapter_rank": 4, "learning_rate": 1e-2, "epochs": 1, "max_steps": 4, **LIMITS}
        | {"reader": reader.model_dump()}
    )


def make(home: Path, models: Path, config: FeedbackConfig) -> MadeFeedback:
    return make_feedback(read_feedback(write_data(home / "data"), ()), models, "school", config, home / "cache")


@pytest.fixture(scope="module")
def trained(home: Path, config: FeedbackConfig) -> MadeFeedback:
    return make(home, home / "models", config)


def test_trained_bundle_loads_and_writes(home: Path, trained: MadeFeedback) -> None:
    [folder] = (home / "models" / "_feedback" / "school").iterdir()
    files = load_feedback(folder)
    assert folder.stat().st_mode & 0o555 == 0o555  # the service may run as another user
    assert files.bundle == trained.files.bundle
    assert [item.item_id for item in files.bundle.items] == ["heat-1", "cold-2"]
    assert files.adapter is not None
    model = LanguageModel(files.base, files.adapter, files.bundle.prompt)
    assert model.write(files.prompter.ids(ITEM, "warm air", 1)).tokens > 0
    assert files.bundle.prompt.before.startswith("<|im_start|>user\nTell the learner")
    assert files.bundle.prompt.after == "<|im_end|>\n<|im_start|>assistant\n"
    # The screen has learnt verdicts from the raters' texts.
    assert [files.screen.objection(said, "warm", ITEM, value) for value, said in enumerate(SAID)] == [None] * 3
    assert files.screen.objection(SAID[2], "warm", ITEM, 0) == "contradicts_score"
    assert not (folder.parent / "ACTIVE").exists()  # a person activates it


def test_figures_are_of_the_model_and_its_baselines(trained: MadeFeedback) -> None:
    generated, shown, common, near, raters = trained.figures
    assert raters.all.rouge_l == 1
    assert min(common.agreement, near.agreement) > generated.agreement
    assert None not in (common.all.rouge_l, generated.all.rouge_l)
    assert (common.all.rouge_l or 0) > (generated.all.rouge_l or 0)  # a random model writes nonsense
    assert shown.agreement > generated.agreement
    assert sum(generated.objections.values()) > 0
    assert trained.files.bundle.figures == generated.as_dict()
    card = (trained.files.folder / "card.md").read_text()
    assert f"| {common.title} | {common.all.bleu:.1f} | {common.all.chrf:.1f} |" in card
    assert generated.all.signature in card
    assert all(f"{why.replace('_', ' ')} {count}" in card for why, count in generated.objections.items())


def test_second_call_uses_the_cache(
    home: Path, trained: MadeFeedback, tmp_path: Path, config: FeedbackConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("training.feedback.tuning._trainer", "training.feedback.run.LanguageModel"):
        monkeypatch.setattr(name, None)

    again = make(home, tmp_path, config)

    assert again.figures == trained.figures
    assert again.files.bundle.version != trained.files.bundle.version


def test_versions_share_the_bytes_of_their_base(home: Path, trained: MadeFeedback) -> None:
    assert trained.files.base.stat().st_ino == (home / "base.gguf").stat().st_ino


def test_unchanged_base_has_no_adapter(home: Path, tmp_path: Path, config: FeedbackConfig) -> None:
    files = make(home, tmp_path, config.model_copy(update={"tuning": "none"})).files

    assert files.adapter is None


def test_base_without_chat_template_gets_a_plain_prompt(home: Path, tmp_path: Path, config: FeedbackConfig) -> None:
    plain = write_tiny_gguf(tmp_path / "plain.gguf", template=None)

    files = make(home, tmp_path, config.model_copy(update={"base": str(plain), "tuning": "none"})).files

    assert files.bundle.prompt.before.startswith("<|im_start|>Tell the learner")  # after the start token
    assert files.bundle.prompt.after == "\n"


def test_base_that_the_service_cannot_run_is_refused(home: Path, tmp_path: Path, config: FeedbackConfig) -> None:
    with refused(NoWeights, "base_not_gguf", base="minilm"):
        make(home, tmp_path, config.model_copy(update={"base": "minilm"}))


def command(tmp_path: Path, *more: object) -> Any:
    data = write_data(tmp_path / "data")
    given = ["feedback", "--data", data, "--models", tmp_path / "models", "--name", "school", *more]
    return CliRunner().invoke(cli, list(map(str, given)))


def test_command_prints_and_writes_the_figures(home: Path, tmp_path: Path, config: FeedbackConfig) -> None:
    settings = tmp_path / "settings.toml"
    reader = json.loads(config.reader.model_dump_json(exclude_none=True))
    lines = [f"base = {json.dumps(config.base)}", 'tuning = "none"', *(f"{k} = {v}" for k, v in LIMITS.items())]
    for part, values in reader.items():
        if isinstance(values, dict):
            lines += [f"[reader.{part}]", *(f"{k} = {json.dumps(v)}" for k, v in values.items())]
    lines.insert(len(LIMITS) + 2, "[reader]\nvalidation_share = 0.3")
    settings.write_text("\n".join(lines))

    done = command(tmp_path, "--config", settings, "--json", tmp_path / "found.json", "--cache", home / "cache")

    assert done.exception is None, done.output
    figures = json.loads((tmp_path / "found.json").read_text())
    missing = {name for name in figures if name not in " ".join(done.output.split())} - {ORIGIN_MARK}
    assert missing == set(), done.output
    assert "`scorelet feedback activate`" in done.output
    assert figures["raters' own"]["rouge_l"] == 1
    assert figures["generated"]["rows"] == 24
    assert figures["generated"]["chrf"] >= 0
    assert "tok:13a" in figures["generated"]["signature"]


def test_name_unfit_for_a_folder_is_bad_usage(tmp_path: Path) -> None:
    done = command(tmp_path, "--name", "../school")

    assert isinstance(done.exception, UsageFailure)
    assert (done.exception.code, done.exception.fields) == ("bad_name", {"name": "../school"})
