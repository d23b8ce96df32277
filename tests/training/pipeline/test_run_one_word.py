"""A one-word item from its rows to its gate: common wrong answers, refusals, and responses that are cut."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.scoring.bundle import TOKENIZER
from app.scoring.item import Item
from app.scoring.live_version import read_active
from app.scoring.registry import Registry
from benchmarks.one_word import ITEM as CAPITAL
from benchmarks.one_word import RIGHT, WRONG, answers
from tests.training.conftest import tiny_settings
from training.config import TrainingConfig
from training.data import ItemData
from training.data.responses import MarkedResponse
from training.pipeline.run import train
from training.student.token_lengths import over_long_share, token_counts

ITEM = Item.model_validate(CAPITAL)


def rows(name: str, seed: int) -> tuple[MarkedResponse, ...]:
    return tuple(
        MarkedResponse(f"{name}-{number}", ITEM.item_id, text, score, None, f"{name}-{number}", ())
        for number, (text, score) in enumerate(answers(150, seed))
    )


DATA = ItemData(ITEM, rows("train", 0), rows("dev", 1), ())


@pytest.fixture(scope="module")
def config(tiny_encoder: Path) -> TrainingConfig:
    settings = tiny_settings(tiny_encoder)
    longer = settings.distillation.model_copy(update={"min_steps": 150})
    return settings.model_copy(update={"distillation": longer})


@pytest.fixture(scope="module")
def models(config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one_word")
    list(train([DATA], folder / "models", config, folder / "cache"))
    return folder / "models"


def test_one_word_answers_are_not_held_back(models: Path) -> None:
    live = Registry.from_folder(models).live[ITEM.item_id]
    texts = [*RIGHT, *WRONG, *(row.text for row in DATA.dev)]

    held = {
        text: judgement.condition
        for text, judgement in zip(texts, live.judge(texts), strict=True)
        if judgement.condition
    }

    assert held == {"idk": "refusal", "I don't know": "refusal", "": "blank"}


def test_the_gate_passes_on_all_answers(models: Path) -> None:
    active = read_active(models / ITEM.item_id)

    answered = [row for row in DATA.dev if row.text not in ("", "idk", "I don't know")]
    assert active.gate.failed == []
    assert active.mode == "auto"
    assert active.gate.checks[0].measured == len(answered) >= 100


def test_cut_responses_and_contradicted_refusals_give_warnings_and_fail_the_gate(
    config: TrainingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = config.model_copy(
        update={
            "distillation": config.distillation.model_copy(update={"soft_weight": 0.0}),
            "student": config.student.model_copy(update={"max_tokens": 3}),
        }
    )
    item = ITEM.model_copy(update={"refusals": ("Paris!",)})

    [bundle] = train([replace(DATA, item=item)], tmp_path / "models", none, tmp_path / "cache")

    said = " ".join(capsys.readouterr().err.split())
    assert "'Paris!'" in said
    assert "student.max_tokens" in said
    assert "over-long responses" in bundle.gate.failed
    tokenizer = (tmp_path / "models" / ITEM.item_id / bundle.version / TOKENIZER).read_bytes()
    share = over_long_share(token_counts(tokenizer, [row.text for row in DATA.dev if row.text]), 3)
    assert f"{share:.0%} of dev" in said
