"""Real adapters on a tiny language model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer

from app.scoring.feedback.prompt import PromptBuilder, PromptSettings
from tests.training.feedback.told import told
from tests.training.tiny_gguf import write_tiny_gguf
from training.common.cache import CACHE
from training.feedback.config import FeedbackConfig
from training.feedback.tuning import NO_LABEL, Examples, collate, tuned
from training.teacher.gguf import unpacked

ROWS = [told(number) for number in range(24)]
CONFIG = FeedbackConfig(adapter_rank=4, dropout=0.0, learning_rate=1e-2, batch_size=4, epochs=2)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return unpacked(write_tiny_gguf(tmp_path / "base.gguf"))


@pytest.fixture
def prompter(source: Path) -> PromptBuilder:
    settings = PromptSettings(
        before="<|im_start|>", after="<|im_end|>", end=2, question_tokens=32, reference_tokens=16, response_tokens=32,
        feedback_tokens=24,
    )  # fmt: skip
    return PromptBuilder((source / "tokenizer.json").read_bytes(), settings)


def test_only_feedback_is_learnt_and_its_end_where_it_is_whole(prompter: PromptBuilder) -> None:
    examples = Examples(ROWS, prompter)

    assert len(examples) == 24
    for row, example in zip(ROWS, (examples[number] for number in range(24)), strict=True):
        learnt = [label for label in example["labels"] if label != NO_LABEL]
        assert example["input_ids"][-len(learnt) :] == learnt
        whole = prompter.feedback_ids(row.feedback)
        assert learnt == whole
        assert len(learnt) <= 24
        assert (learnt[-1] == 2) == (len(row.feedback) < 24)  # what was cut off has no end to be learnt
        prompt = prompter.ids(row.item, row.marked.text, row.marked.value)
        assert example["input_ids"][: len(prompt)] == prompt


def test_a_batch_keeps_what_is_learnt_at_its_end() -> None:
    rows = [
        {"input_ids": [5, 6, 7, 8], "labels": [NO_LABEL, NO_LABEL, 7, 8]},
        {"input_ids": [9, 2], "labels": [NO_LABEL, 2]},
    ]

    batch = collate(rows)

    assert batch["input_ids"].tolist() == [[5, 6, 7, 8], [0, 0, 9, 2]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3], [0, 0, 0, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [0, 0, 1, 1]]
    assert batch["labels"].tolist() == [[NO_LABEL, 7, 8], [NO_LABEL, NO_LABEL, 2]]
    assert batch["logits_to_keep"] == 3  # the token before the first that is learnt foretells it


def test_the_loss_is_that_of_whole_rows(source: Path, prompter: PromptBuilder) -> None:
    """What padding and kept logits leave out changes nothing."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(source)
    model.eval()
    examples = Examples(ROWS[:4], prompter)
    with torch.inference_mode():
        together = float(model(**collate([examples[n] for n in range(4)])).loss)
        sums, tokens = 0.0, 0
        for number in range(4):
            own = {name: torch.tensor([values]) for name, values in examples[number].items()}
            learnt = int((own["labels"] != NO_LABEL).sum())
            sums, tokens = sums + float(model(**own).loss) * learnt, tokens + learnt

    assert together == pytest.approx(sums / tokens, rel=1e-3)


@pytest.mark.parametrize("kind", ["lora", "qlora"])
def test_adapters_learn(source: Path, prompter: PromptBuilder, tmp_path: Path, kind: str) -> None:
    from transformers import AutoModelForCausalLM

    from training.teacher.adapters import with_adapters

    config = CONFIG.model_copy(update={"tuning": kind, "epochs": 6})
    weights = tuned(str(source), ROWS, prompter, config, kind, tmp_path)

    adapted: Any = with_adapters(AutoModelForCausalLM.from_pretrained(source), 4, 0.0).eval()
    examples = Examples(ROWS, prompter)
    batch = collate([examples[number] for number in range(24)])
    with torch.inference_mode():
        before = float(adapted(**batch).loss)
        assert adapted.load_state_dict(weights, strict=False).unexpected_keys == []
        after = float(adapted(**batch).loss)
    assert after < 0.8 * before


class Killed(BaseException):
    pass


def test_a_killed_training_goes_on_from_its_last_saved_step(
    source: Path, prompter: PromptBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tuned(str(source), ROWS, prompter, CONFIG, "whole", tmp_path, 2)
    steps: list[int] = []
    step = Trainer.training_step

    def dying(self: Trainer, *arguments: Any, **options: Any) -> Any:
        steps.append(self.state.global_step)
        if len(steps) == 8:
            raise Killed
        return step(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "training_step", dying)
    with pytest.raises(Killed):
        tuned(str(source), ROWS, prompter, CONFIG, "killed", tmp_path, 2)
    [whole_one] = tmp_path.glob("feedback/*/steps/checkpoint-6")
    (whole_one.parent / "checkpoint-8").mkdir()  # as a kill while saving leaves it
    resumed = tuned(str(source), ROWS, prompter, CONFIG, "killed", tmp_path, 2)

    assert steps == [*range(8), *range(6, 12)]
    assert resumed.keys() == whole.keys()
    assert all(torch.allclose(resumed[name], whole[name], atol=1e-5) for name in whole)
    assert tuned("nowhere", (), prompter, CONFIG, "killed", tmp_path).keys() == whole.keys()  # finished: only read
