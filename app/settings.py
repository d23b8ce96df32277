"""Settings of an operator, by environment variables `SCORELET_…`.  README lists them all."""

import difflib
import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "SCORELET_"
OF_TRAINING = {"SCORELET_CACHE", "SCORELET_TEACHER_KEY"}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535)
    workers: int = Field(
        default=1, ge=1, le=64, description="Processes that share the port; each has its own students in memory."
    )
    models_dir: Path = Field(default=Path("models"), description="Folder of bundles; may be read-only.")
    reload_seconds: float = Field(
        default=5.0, ge=0, le=3600, description="How often bundles are looked at for a change; 0: never."
    )
    students_mib: int = Field(
        default=256,
        ge=1,
        description="MiB for loaded students, about; those not asked for longest are let go.",
    )
    database_url: SecretStr = Field(
        default=SecretStr("sqlite:///scorelet.db"),
        description="SQLAlchemy URL: sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
    )
    sqlite_synchronous: Literal["FULL", "NORMAL"] = Field(
        default="FULL", description="SQLite: NORMAL is faster, and may lose the last scores in a power cut."
    )
    learner_key: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Secret that turns learner ids into pseudonyms. Without it learner ids are not stored at all.",
    )
    store_responses: bool = Field(default=True, description="Keep the text of responses, for a person to review.")
    feedback_queue: int = Field(
        default=32,
        ge=1,
        le=10_000,
        description="Generated feedback: texts of one model that may wait; beyond it the bank speaks.",
    )
    feedback_timeout: float = Field(
        default=60.0, gt=0, le=3600, description="Seconds that a language model may take for a text."
    )
    feedback_threads: int = Field(default=1, ge=1, description="Processor threads of a language model.")
    fallback_workers: int = Field(
        default=1, ge=1, le=64, description="Responses that fall-back teachers score at once."
    )
    fallback_queue: int = Field(
        default=32, ge=0, le=10_000, description="Fall-back: responses that may wait; beyond it a person looks."
    )
    fallback_timeout: float = Field(
        default=2.0, ge=0, le=60, description="Seconds that a response may wait for a teacher; 0: none is asked."
    )
    trusted_proxies: str = Field(
        default="",
        description="Proxies whose X-Forwarded-For and -Proto are believed: addresses or networks, by comma.",
    )
    allowed_hosts: str = Field(
        default="", description="Names by which the service may be asked for, by comma; empty: any."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="INFO: a line for every request; WARNING: only for what went wrong."
    )
    max_body_bytes: int = Field(default=8 * 2**20, ge=1024, description="Larger request bodies get 413.")


def unknown_names(environment: Iterable[str]) -> dict[str, str]:
    """Return each SCORELET_ variable that is no setting, with a sentence about it.

    A misspelt name would otherwise be a setting that silently keeps its default.
    """
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields} | OF_TRAINING
    suffixes = [name.removeprefix(PREFIX) for name in known]
    unknown: dict[str, str] = {}
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper().removeprefix(PREFIX), suffixes, 1)
            question = f": is it {PREFIX}{near[0]}?" if near else ""
            unknown[name] = f"there is no setting {name}{question}"
    return unknown


def is_loopback(host: str) -> bool:
    """Return whether the address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
