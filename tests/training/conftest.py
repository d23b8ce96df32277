"""Settings under which a whole run takes seconds."""

from pathlib import Path

import pytest

from training.config import DistillationConfig, StudentConfig, TeacherConfig, TextConfig, TrainingConfig


@pytest.fixture
def tiny_config(tiny_encoder: Path) -> TrainingConfig:
    return TrainingConfig(
        validation_share=0.3,
        teacher=TeacherConfig(
            base=str(tiny_encoder),
            max_tokens=64,
            learning_rate=3e-3,
            batch_size=8,
            members=1,
            max_epochs=4,
            min_steps=1,
            averaging=0.25,
        ),
        text=TextConfig(augmented_per_response=2),
        student=StudentConfig(vocabulary=60, embedding=8, hidden=8, max_tokens=48),
        distillation=DistillationConfig(epochs=8, learning_rate=1e-2, batch_size=32),
    )
