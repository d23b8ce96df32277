"""The operator's settings: environment variables `SCORELET_...`."""

import difflib
import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "SCORELET_"
TRAINING_VARIABLES = {"SCORELET_CACHE", "SCORELET_TEACHER_KEY"}


class Settings(BaseSettings):
    """Settings of the service and of `scorelet`'s commands."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    workers: int = Field(
        default=1, ge=1, le=64, description="Processes that share the port. Each loads its own students."
    )
    models_dir: Path = Field(default=Path("models"), description="Folder of bundles. It may be read-only.")
    reload_seconds: float = Field(
        default=5.0, ge=0, le=3600, description="Seconds between checks for changed bundles; 0 turns them off."
    )
    students_mib: int = Field(
        default=256,
        ge=1,
        description="Approximate MiB for loaded students. The least recently used are evicted.",
    )
    database_url: SecretStr = Field(
        default=SecretStr("sqlite:///scorelet.db"),
        description="SQLAlchemy URL: sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
    )
    sqlite_synchronous: Literal["FULL", "NORMAL"] = Field(
        default="FULL", description="SQLite's synchronous mode. NORMAL is faster; a power cut may lose the last scores."
    )
    learner_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Secret that turns learner ids into pseudonyms. Without it, learner ids are not stored.",
    )
    store_responses: bool = Field(default=True, description="Store the text of responses, for review.")
    feedback_queue: int = Field(
        default=32,
        ge=1,
        le=10_000,
        description="Requests that may wait for a feedback model. If more arrive, the feedback bank answers them.",
    )
    feedback_timeout: float = Field(
        default=60.0, gt=0, le=3600, description="Seconds that a feedback model may take for a text."
    )
    feedback_threads: int = Field(default=1, ge=1, description="CPU threads of a feedback model.")
    fallback_workers: int = Field(
        default=1, ge=1, le=64, description="Responses that fall-back teachers score in parallel."
    )
    fallback_queue: int = Field(
        default=32,
        ge=0,
        le=10_000,
        description="Responses that may wait for a fall-back teacher. If more arrive, they go to a reviewer.",
    )
    fallback_timeout: float = Field(
        default=2.0, ge=0, le=60, description="Seconds that a response may wait for a fall-back teacher; 0: do not ask."
    )
    trusted_proxies: str = Field(
        default="",
        description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted, "
        "separated by commas.",
    )
    allowed_hosts: str = Field(
        default="", description="Host names that requests may use, separated by commas. Empty: any."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="INFO logs a line for every request; WARNING logs problems only."
    )
    max_body_bytes: int = Field(
        default=8 * 2**20, ge=1024, description="Maximum size of a request body. Larger bodies get status 413."
    )


def unknown_names(environment: Iterable[str]) -> dict[str, str]:
    """Return a message for each unknown SCORELET_ variable.

    A misspelt setting would otherwise keep its default silently.
    """
    known = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields} | TRAINING_VARIABLES
    prefixed = [name for name in environment if name.upper().startswith(PREFIX)]
    return {name: _unknown(name, known) for name in sorted(prefixed) if name.upper() not in known}


def _unknown(name: str, known: set[str]) -> str:
    suffixes = [variable.removeprefix(PREFIX) for variable in known]
    similar = difflib.get_close_matches(name.upper().removeprefix(PREFIX), suffixes, 1)
    if similar:
        return f"unknown setting {name}: did you mean {PREFIX}{similar[0]}?"
    return f"unknown setting {name}"


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
