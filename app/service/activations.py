"""Record in the database the live versions, with the person and the reason of each release."""

import hashlib

from sqlalchemy import Engine

from app.scoring.feedback.bundle import FEEDBACK_FOLDER
from app.scoring.live_version import Active, Release
from app.scoring.registry import Registry
from app.service.feedback.model_pool import ModelPool
from app.storage.queries import note_activations
from app.storage.tables import SeenActivation


def note_live_versions(engine: Engine, registry: Registry, model_pool: ModelPool) -> None:
    """Add a row for each live item, and feedback model as `_feedback/<name>`, whose ACTIVE has no row yet."""
    releases: dict[str, Release] = {item_id: live.active for item_id, live in registry.live.items()}
    releases |= {f"{FEEDBACK_FOLDER}/{name}": active for name, active in model_pool.actives.items()}
    note_activations(engine, [_activation(name, release) for name, release in releases.items()])


def _activation(name: str, release: Release) -> SeenActivation:
    shadow = release.shadow if isinstance(release, Active) else None
    content = release.model_dump_json()
    return SeenActivation(
        item_id=name,
        version=release.version,
        mode=release.mode,
        by=release.by,
        reason=_reason(release),
        at=release.at,
        shadow=shadow and shadow.version,
        shadow_by=shadow and shadow.by,
        sha256=hashlib.sha256(content.encode()).hexdigest(),
    )


def _reason(release: Release) -> str:
    """Return the reason for the release and, where a rule scores blank responses, the reason for the rule."""
    rule = release.blank_is_worst if isinstance(release, Active) else None
    if rule is None:
        return release.reason
    return f"{release.reason}; blank responses and refusals are given the worst score by {rule.by}: {rule.reason}"
