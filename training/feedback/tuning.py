"""Fine-tuning of a causal language model on raters' feedback, by LoRA or QLoRA and the Trainer of transformers."""

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
from training.common.training_loop import count_batches
from training.feedback.config import FeedbackConfig
from training.feedback.data import MarkedFeedback
from training.teacher.adapters import load_in_4_bits, with_adapters

NO_LABEL = -100  # tokens that the loss leaves out: those of the prompt, and padding
SAVED_EVERY = 20  # steps


class Examples(Dataset[dict[str, list[int]]]):
    """Prompts and feedback as ids.  Only the feedback is learnt."""

    def __init__(self, rows: Sequence[MarkedFeedback], prompter: PromptBuilder) -> None:
        self._pairs = [_ids(row, prompter) for row in rows]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, number: int) -> dict[str, list[int]]:
        prompt, feedback = self._pairs[number]
        return {"input_ids": prompt + feedback, "labels": [NO_LABEL] * len(prompt) + feedback}


def collate(rows: Sequence[Mapping[str, list[int]]]) -> dict[str, Any]:
    """Return a batch of (batch, tokens), padded at the start.

    The feedback stands at the end of each row, and logits are computed for the feedback alone.
    """
    ids, labels = [row["input_ids"] for row in rows], [row["labels"] for row in rows]
    longest = max(map(len, ids))
    feedback_lengths = [len(row) - row.count(NO_LABEL) for row in labels]
    kept = 1 + max(feedback_lengths)
    mask = _padded([[1] * len(row) for row in ids], longest, 0)
    positions = mask.cumsum(1) - 1  # for bases with learnt positions
    return {
        "input_ids": _padded(ids, longest, 0),
        "attention_mask": mask,
        "position_ids": positions.clamp(min=0),
        "labels": _padded(labels, longest, NO_LABEL)[:, -kept:],
        "logits_to_keep": kept,
    }


def _padded(rows: Sequence[Sequence[int]], length: int, filler: int) -> Tensor:
    """Return (rows, length): each row after as many fillers as it is too short."""
    padding = [[filler] * (length - len(row)) for row in rows]
    return torch.tensor([[*before, *row] for before, row in zip(padding, rows, strict=True)])


def _ids(row: MarkedFeedback, prompter: PromptBuilder) -> tuple[list[int], list[int]]:
    """Return the ids of the prompt and of the feedback."""
    prompt = prompter.ids(row.item, row.marked.text, row.marked.value)
    return prompt, prompter.feedback_ids(row.feedback)


def tuned(
    source: str,
    fit: Sequence[MarkedFeedback],
    prompter: PromptBuilder,
    config: FeedbackConfig,
    key: str,
    cache: Path,
    saved_every: int = SAVED_EVERY,
) -> dict[str, Tensor]:
    """Return the adapter's weights by peft's names.

    The weights are cached.  A killed call goes on from the last saved step.
    """
    file = cache / "feedback" / key_of("adapter", key) / "adapter.safetensors"
    if not file.is_file():
        trainer = _trainer(source, Examples(fit, prompter), config, file.parent / "steps", saved_every)
        last = _last(file.parent / "steps")
        if last:
            console.print(f"goes on from {Path(last).name}")
        with bar() as progress:
            trainer.add_callback(_Shown(progress))
            result = trainer.train(resume_from_checkpoint=last)
        adapters = _adapters(trainer.model)
        learnt = {name: weights.detach().cpu().contiguous() for name, weights in adapters.items()}
        note_seconds(file, float(result.metrics["train_runtime"]))
        replace_file(file, partial(save_file, learnt))
    return load_file(file)


class _Shown(TrainerCallback):
    """Progress and losses, shown like those of every other training."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("feedback: adapters", total=None)

    def on_step_end(self, _: object, state: TrainerState, *__: object, **___: object) -> None:  # type: ignore[override]
        self._progress.update(self._task, total=state.max_steps, completed=state.global_step)

    def on_log(self, _: object, state: TrainerState, *__: object, logs: Any, **___: object) -> None:  # type: ignore[override]
        if "loss" in logs:  # the last log has means of the whole training
            self._progress.console.print(f"step {state.global_step}: loss {float(logs['loss']):.3f}")


def _last(folder: Path) -> str | None:
    """Return the newest whole checkpoint, if any: its state is the last file that is written."""
    checkpoints = [state.parent for state in folder.glob("*/trainer_state.json")]
    newest = max(checkpoints, key=_step, default=None)
    return None if newest is None else str(newest)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _adapters(model: Any) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _trainer(source: str, examples: Examples, config: FeedbackConfig, folder: Path, saved_every: int) -> Trainer:
    logging.getLogger("transformers.trainer").setLevel(logging.ERROR)
    hide_loading()
    model = _base(source, config)
    torch.manual_seed(config.seed)
    if config.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    settings = _arguments(len(examples), config, folder, saved_every)
    adapted = with_adapters(model, config.adapter_rank, config.dropout)
    trainer = Trainer(adapted, settings, data_collator=collate, train_dataset=examples)
    trainer.remove_callback(PrinterCallback)
    return trainer


def _base(source: str, config: FeedbackConfig) -> Any:
    if config.tuning != "qlora":
        return AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    compute = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    return load_in_4_bits(source, compute, AutoModelForCausalLM)


def _arguments(examples: int, config: FeedbackConfig, folder: Path, saved_every: int) -> TrainingArguments:
    steps = config.max_steps or config.epochs * count_batches(examples, config.batch_size)
    return TrainingArguments(
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
