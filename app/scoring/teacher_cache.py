"""The teachers that items fall back on, each loaded once."""

from pathlib import Path

from app.scoring.bundle import Bundle
from app.scoring.decision import SecondScorer
from app.scoring.errors import BadBundle, CodedError
from app.scoring.live_version import Fallback
from app.scoring.teacher import ExportedTeacher, teacher_folder

Key = tuple[str, str]  # name and version of a teacher


class TeacherCache:
    """Loaded teachers, and the items whose teacher was refused."""

    def __init__(self) -> None:
        self.refused: dict[str, CodedError] = {}  # item → reason
        self._loaded: dict[Key, ExportedTeacher | BadBundle] = {}

    def second_scorer(self, models: Path, bundle: Bundle, fallback: Fallback | None) -> SecondScorer | None:
        """Return the teacher's scorer for an item, or None without a fall-back or where the teacher is refused."""
        if fallback is None:
            return None
        try:
            teacher = self._load(models, fallback.teacher, fallback.version)
            if teacher.metadata_sha256 != fallback.metadata_sha256:
                raise BadBundle(
                    "teacher.json is not the one that was released: activate the item again", code="not_released"
                )
            return SecondScorer(teacher, teacher.taught(bundle.item), fallback.policy)
        except BadBundle as error:
            self.refused[bundle.item.item_id] = BadBundle.of(f"{fallback.teacher}/{fallback.version}", error)
            return None

    def forget_refused(self) -> None:
        """Remove refusals, so that refused teachers are loaded again."""
        self.refused.clear()
        self._loaded = {key: loaded for key, loaded in self._loaded.items() if not isinstance(loaded, BadBundle)}

    def keep(self, used: set[Key]) -> None:
        """Evict every teacher that is not in `used`."""
        self._loaded = {key: loaded for key, loaded in self._loaded.items() if key in used}

    def _load(self, models: Path, name: str, version: str) -> ExportedTeacher:
        key = (name, version)
        if key not in self._loaded:
            try:
                self._loaded[key] = ExportedTeacher.load(teacher_folder(models, name, version))
            except BadBundle as error:
                self._loaded[key] = error
        loaded = self._loaded[key]
        if isinstance(loaded, BadBundle):
            raise BadBundle(str(loaded), code=loaded.code, **loaded.fields)
        return loaded
