from pathlib import Path

import pytest

from tests.training.compare.fakes import Fakes
from tests.training.compare.group_runs import quick
from tests.training.compare.wide import write_wide_encoder
from training.config import TrainingConfig


@pytest.fixture(scope="session")
def wide_encoder(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """Write a BERT of 6 layers of width 384 to a folder, once a run."""
    return write_wide_encoder(tmp_path_factory.mktemp("wide"), tiny_encoder)


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@pytest.fixture
def config(tiny_config: TrainingConfig) -> TrainingConfig:
    """Train no teacher, because the fakes need none."""
    return quick(tiny_config, soft_weight=0.0)
