"""The provenance of a bundle: data, settings, base weights and software, enough to train it again."""

import importlib.metadata
from datetime import datetime

from app.scoring.bundle import Provenance
from training.config import TrainingConfig
from training.teacher.base_models import fingerprint

SOFTWARE = ("scorelet", "torch", "transformers", "tokenizers", "onnx", "onnxruntime", "numpy")


def provenance_of(data_sha256: str, config: TrainingConfig, made_at: datetime) -> Provenance:
    """Return the provenance of a bundle trained now, without the teacher's agreement."""
    teacher = config.teacher.model if config.distillation.soft_weight > 0 else None
    return Provenance(
        created_at=made_at,
        data_sha256=data_sha256,
        teacher=teacher,
        teacher_weights=weights_of(config),
        teacher_agreement=None,
        config=config.model_dump(mode="json"),
        seed=config.seed,
        software=software(),
    )


def is_of(provenance: Provenance, data_sha256: str, config: TrainingConfig) -> bool:
    """Return whether this version of scorelet would train the same bundle again.

    Another version may train otherwise under equal settings.
    """
    same_version = provenance.software.get("scorelet") == software()["scorelet"]
    same_data = provenance.data_sha256 == data_sha256
    if not (same_version and same_data and config.is_kept_as(provenance.config)):
        return False
    return provenance.teacher_weights == weights_of(config)  # last, because hashing weights takes longest


def weights_of(config: TrainingConfig) -> str | None:
    """Return a fingerprint of the base model's weights; None if no teacher is fine-tuned here."""
    fine_tuned = config.distillation.soft_weight > 0 and config.teacher.kind != "api"
    return fingerprint(config.teacher.base) if fine_tuned else None


def software() -> dict[str, str]:
    """Return the versions of scorelet and of the packages that shape a bundle."""
    return {name: importlib.metadata.version(name) for name in SOFTWARE}
