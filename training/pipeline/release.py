"""The last step of a run: find earlier bundles of the same making, and put new bundles live."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from app.scoring.bundle import Bundle
from app.scoring.errors import BadBundle
from app.scoring.live_version import activate, read_active, versions
from app.scoring.teacher import TeacherBundle
from training.bundle.provenance import is_of
from training.common.progress import console
from training.config import TrainingConfig

BundleT = TypeVar("BundleT", Bundle, TeacherBundle)


def release(folder: Path, bundle: Bundle) -> None:
    """Make a bundle live in the mode that its gate gives.

    A live bundle of the same version stays as it is.  A decision that a person took after the bundle was made stands.
    """
    try:
        live = read_active(folder)
    except BadBundle:
        live = None
    if live is not None and live.version == bundle.version:
        return
    if live is not None and live.at > bundle.provenance.created_at:
        item_id = bundle.item.item_id
        console.print(f"{item_id}: {live.version} stays live, as {live.by} decided after {bundle.version} was made")
        return
    activate(
        folder,
        bundle.version,
        by="scorelet-train",
        reason="newly trained",
        fallback=live.fallback if live else None,
        blank_is_worst=live.kept_for(bundle.item) if live else None,
    )


def earlier_bundle(
    folder: Path, load: Callable[[Path], BundleT], data_sha256: str, config: TrainingConfig
) -> BundleT | None:
    """Return the newest sound bundle that this version of scorelet made from the same data and settings, if any."""
    names = versions(folder) if folder.is_dir() else []
    for version in reversed(names):
        try:
            bundle = load(folder / version)
        except BadBundle:
            continue
        if is_of(bundle.provenance, data_sha256, config):
            return bundle
    return None
