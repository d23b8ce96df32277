"""What a bundle was made of and by: enough to make it again, and to know it for one made before."""

import importlib.metadata
from datetime import datetime

from app.scoring.bundle import Provenance
from training.config import TrainingConfig
from training.teacher.base_models import fingerprint

SOFTWARE = ("scorelet", "torch", "transformers", "tokenizers", "onnx", "onnxruntime", "numpy")


def provenance_of(data_sha256: str, config: TrainingConfig, made_at: datetime) -> Provenance:
    return Provenance(
        created_at=made_at,
        data_sha256=data_sha256,
        teacher=config.teacher.model if config.distillation.soft_weight > 0 else None,
        teacher_weights=weights_of(config),
        teacher_agreement=None,
        config=config.model_dump(mode="json"),
        seed=config.seed,
        software=software(),
    )


def is_of(made: Provenance, data_sha256: str, config: TrainingConfig) -> bool:
    """Whether this version of scorelet would make the same again: another's recipe may differ under equal settings."""
    same = made.software.get("scorelet") == software()["scorelet"]
    same = same and made.data_sha256 == data_sha256 and config.is_kept_as(made.config)
    return same and made.teacher_weights == weights_of(config)  # to hash them takes longest


def weights_of(config: TrainingConfig) -> str | None:
    """What tells the teacher's base from others of its name, where it is fine-tuned here."""
    fine_tuned = config.distillation.soft_weight > 0 and config.teacher.kind != "api"
    return fingerprint(config.teacher.base) if fine_tuned else None


def software() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in SOFTWARE}
