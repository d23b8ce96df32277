"""Settings under which a whole run takes seconds."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import gguf
import pytest

from training.config import DistillationConfig, StudentConfig, TeacherConfig, TextConfig, TrainingConfig


def tiny_settings(encoder: Path) -> TrainingConfig:
    return TrainingConfig(
        validation_share=0.3,
        calibration_folds=2,  # the fewest that hold out every response
        teacher=TeacherConfig(
            base=str(encoder),
            own_from=1,
            max_tokens=64,
            learning_rate=3e-3,
            batch_size=8,
            members=1,
            max_epochs=4,
            min_steps=20,
            shared_min_steps=20,
            averaging=0.25,
        ),
        text=TextConfig(augmented_per_response=2),
        student=StudentConfig(vocabulary=200, embedding=8, hidden=8, max_tokens=48),  # pieces are words: few to read
        distillation=DistillationConfig(epochs=4, shared_epochs=4, min_steps=20, learning_rate=2e-2, batch_size=32),
    )


def shared(config: TrainingConfig) -> TrainingConfig:
    """Return the settings for items with few responses, which share a teacher."""
    return config.model_copy(update={"teacher": config.teacher.model_copy(update={"own_from": 300})})


@pytest.fixture
def tiny_config(tiny_encoder: Path) -> TrainingConfig:
    return tiny_settings(tiny_encoder)


@pytest.fixture(scope="session")
def gguf_reader() -> Callable[[Path], gguf.GGUFReader]:
    """Return the library's reader, which needs seconds for the wheel's model, so that it reads a file once."""
    return cache(gguf.GGUFReader)


@pytest.fixture
def read_once(gguf_reader: Callable[[Path], gguf.GGUFReader], monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the wheel's model, which does not change, once: transformers reads it again for each of its parts."""
    monkeypatch.setattr(gguf, "GGUFReader", lambda file: gguf_reader(Path(file)))
    monkeypatch.setattr(gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map))  # made anew for every module
