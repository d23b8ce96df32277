"""The page of training settings, written from training.config and training.feedback.config."""

from collections.abc import Iterator

from pydantic import BaseModel

from app.scoring.gate import Policy
from tests.reference_pages.fields import default, described, limits
from training.config import (
    ApiConfig,
    DistillationConfig,
    Phrases,
    StudentConfig,
    TeacherConfig,
    TextConfig,
    TrainingConfig,
)
from training.feedback.config import FeedbackConfig

HEAD = """# Settings of training

For assessment researchers: every setting of `--config FILE.toml`, for `run`, `compare` and `feedback`.

A file names only the settings it changes. Every bundle keeps all settings it was made with. A misspelt name is an error
that names the file and the setting.

```toml
seed = 1

[release]
min_agreement = 0.75

[teacher]
max_epochs = 8
```
"""
TABLES: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("A run", "before the first table", TrainingConfig),
    ("The gate", "`[release]`", Policy),
    ("The teacher", "`[teacher]`", TeacherConfig),
    ("A teacher behind an API", "`[teacher.api]`", ApiConfig),
    ("Text for the student", "`[text]`", TextConfig),
    ("The student", "`[student]`", StudentConfig),
    ("Distillation", "`[distillation]`", DistillationConfig),
    ("Words of attacks", "`[phrases]`", Phrases),
    ("Feedback models", "for `scorelet-train feedback`, before the first table", FeedbackConfig),
)


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join("\n".join(section(*table)) + "\n" for table in TABLES)


def section(title: str, place: str, model: type[BaseModel]) -> Iterator[str]:
    """Yield the lines of one table of settings."""
    yield f"\n## {title}\n\nPlace in the file: {place}.\n\n| setting | meaning | default | limits |\n|---|---|---|---|"
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            continue
        shown = "in `training/config.py`" if len(str(field.default)) > 90 else default(field)
        yield f"| `{name}` | {described(field)} | {shown} | {limits(field)} |"
