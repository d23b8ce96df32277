"""A causal language model learns by LoRA or QLoRA what raters wrote; transformers' own trainer does the work."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import (
    AutoModelForCausalLM,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)

from app.scoring.feedback.prompt import PromptBuilder
from training.common.cache import key_of, note_seconds, replace_file
from training.common.progress import bar, console, hide_loading
from training.feedback.config import FeedbackConfig
from training.feedback.data import MarkedFeedback
from training.teacher.adapters import load_in_4_bits, with_adapters

NO_LABEL = -100  # tokens that the loss leaves out: those of the prompt, and padding
SAVED_EVERY = 20  # steps


class Examples(Dataset[dict[str, list[int]]]):
    """Prompt and feedback as ids; only the feedback is learnt."""

    def __init__(self, rows: Sequence[MarkedFeedback], prompter: PromptBuilder) -> None:
        self._pairs = [
            (
                prompter.ids(row.item, row.marked.text, row.marked.value),
                prompter.feedback_ids(row.feedback),
            )
            for row in rows
        ]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, number: int) -> dict[str, list[int]]:
        prompt, feedback = self._pairs[number]
        return {"input_ids": prompt + feedback, "labels": [NO_LABEL] * len(prompt) + feedback}


def collate(rows: Sequence[Mapping[str, list[int]]]) -> dict[str, Any]:
    """(batch, tokens), padded at the start: what is learnt stands at the end, and logits are made for it alone."""
    longest = max(len(row["input_ids"]) for row in rows)
    kept = 1 + max(len(row["labels"]) - row["labels"].count(NO_LABEL) for row in rows)

    def padded(values: Sequence[Sequence[int]], filler: int) -> Tensor:
        return torch.tensor([[*[filler] * (longest - len(own)), *own] for own in values])

    mask = padded([[1] * len(row["input_ids"]) for row in rows], 0)
    return {
        "input_ids": padded([row["input_ids"] for row in rows], 0),
        "attention_mask": mask,
        "position_ids": (mask.cumsum(1) - 1).clamp(min=0),  # for bases that learnt where each place is
        "labels": padded([row["labels"] for row in rows], NO_LABEL)[:, -kept:],
        "logits_to_keep": kept,
    }


def tuned(
    source: str,
    fit: Sequence[MarkedFeedback],
    prompter: PromptBuilder,
    config: FeedbackConfig,
    key: str,
    cache: Path,
    saved_every: int = SAVED_EVERY,
) -> dict[str, Tensor]:
    """Return the adapter's weights by peft's names.  A killed call goes on from the last saved step."""
    file = cache / "feedback" / key_of("adapter", key) / "adapter.safetensors"
    if not file.is_file():
        trainer = _trainer(source, Examples(fit, prompter), config, file.parent / "steps", saved_every)
        last = _last(file.parent / "steps")
        if last:
            console.print(f"goes on from {Path(last).name}")
        with bar() as progress:
            trainer.add_callback(_Shown(progress))
            found = trainer.train(resume_from_checkpoint=last)
        learnt = {name: p.detach().cpu().contiguous() for name, p in _adapters(trainer.model).items()}
        note_seconds(file, float(found.metrics["train_runtime"]))
        replace_file(file, partial(save_file, learnt))
    return load_file(file)


class _Shown(TrainerCallback):
    """As every other training is shown."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("feedback: adapters", total=None)

    def on_step_end(self, _: object, state: TrainerState, *__: object, **___: object) -> None:  # type: ignore[override]
        self._progress.update(self._task, total=state.max_steps, completed=state.global_step)

    def on_log(self, _: object, state: TrainerState, *__: object, logs: Any, **___: object) -> None:  # type: ignore[override]
        if "loss" in logs:  # the last one has means of the whole
            self._progress.console.print(f"step {state.global_step}: loss {float(logs['loss']):.3f}")


def _last(folder: Path) -> str | None:
    """The newest whole checkpoint: its state is written last."""
    whole = {int(state.parent.name.rpartition("-")[2]): state.parent for state in folder.glob("*/trainer_state.json")}
    return str(whole[max(whole)]) if whole else None


def _adapters(model: Any) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _trainer(source: str, examples: Examples, config: FeedbackConfig, folder: Path, saved_every: int) -> Trainer:
    logging.getLogger("transformers.trainer").setLevel(logging.ERROR)
    hide_loading()
    compute = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    model: Any
    if config.tuning == "qlora":
        model = load_in_4_bits(source, compute, AutoModelForCausalLM)
    else:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    torch.manual_seed(config.seed)
    if config.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    steps = config.max_steps or config.epochs * -(-len(examples) // config.batch_size)
    settings = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=config.batch_size,
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        learning_rate=config.learning_rate,
        warmup_steps=round(config.warmup * steps),
        weight_decay=0.01,
        bf16=config.precision == "bfloat16",
        train_sampling_strategy="group_by_length",
        save_steps=saved_every,
        save_total_limit=1,
        logging_steps=saved_every,
        seed=config.seed,
        use_cpu=not torch.cuda.is_available(),
        remove_unused_columns=False,
        disable_tqdm=True,
    )
    adapted = with_adapters(model, config.adapter_rank, config.dropout)
    trainer = Trainer(adapted, settings, data_collator=collate, train_dataset=examples)
    trainer.remove_callback(PrinterCallback)
    return trainer
