"""Log one JSON object a line to standard error, without callers' texts and without messages of exceptions."""

import json
import logging
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
MAX_FRAMES = 4  # of an exception's traceback


class JsonFormatter(logging.Formatter):
    """Format a record as `time`, `level`, `logger`, `message`, `request_id` and the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            entry["request_id"] = current
        entry |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            entry["exception"] = type_and_place(record.exc_info[1])
        return json.dumps(entry, ensure_ascii=False, default=str)


def coded(code: str, **fields: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a log call: a stable code and its fields.  The message may be reworded."""
    return {"fields": {"code": code, **fields}}


def type_and_place(error: BaseException) -> str:
    """Return the type and place of an exception.  Its message is left out, because it may quote a response."""
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    places = [f"{frame.filename}:{frame.lineno}" for frame in reversed(frames)]
    return f"{type(error).__name__} at {' < '.join(places)}"


def config(level: str) -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`.  `level` applies to scorelet's and uvicorn's logs."""
    service = {"handlers": ["stderr"], "level": level, "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
        "loggers": {"scorelet": service, "uvicorn": service},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
    }
