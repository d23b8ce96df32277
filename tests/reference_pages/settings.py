"""The page of the service's settings, written from app.settings."""

from app.settings import PREFIX, Settings
from tests.reference_pages.fields import default, described, limits

HEAD = """# Settings of the service

For a school's IT person: every environment variable of the service. A container reads them from `.env` by the
compose file, a service of the system from its `EnvironmentFile`.

An empty variable keeps the default. A misspelt name is reported by every command. Commands that run in another folder
need whole paths in `SCORELET_MODELS_DIR` and `SCORELET_DATABASE_URL` (`sqlite:////srv/scorelet/scorelet.db`).

| setting | meaning | default | limits |
|---|---|---|---|
"""
TAIL = """
Two variables belong to training. `SCORELET_CACHE` is the folder of unfinished work, as `--cache`.
`SCORELET_TEACHER_KEY` is the key of a teacher behind an API.

Some bounds are not settings: 32 KiB for a request's head, one minute for a request to arrive, 1,000 responses a batch,
20,000 characters a response without its mark-up and 200,000 with it.
"""


def page() -> str:
    """Return the whole page."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | {described(field)} | {default(field)} | {limits(field)} |"
        for name, field in Settings.model_fields.items()
    ]
    return HEAD + "\n".join(rows) + "\n" + TAIL
