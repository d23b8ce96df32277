"""Write the log: one JSON object a line, on standard error.  No line has a caller's words or an exception's message."""

import json
import logging
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
FRAMES = 4  # of where an exception was raised


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`, the request it is about, and what else a record carries as `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (about := request_id.get()) is not None:
            said["request_id"] = about
        said |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            said["exception"] = type_and_place(record.exc_info[1])
        return json.dumps(said, ensure_ascii=False, default=str)


def coded(code: str, **fields: object) -> dict[str, dict[str, object]]:
    """Return `extra` of a log call: a stable code and its values.  The sentence is for people and may be reworded."""
    return {"fields": {"code": code, **fields}}


def type_and_place(error: BaseException) -> str:
    """Return type and place of an exception.  Its message may quote a response."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    return f"{type(error).__name__} at {' < '.join(f'{own.filename}:{own.lineno}' for own in reversed(frames))}"


def leave_out_place_and_thread() -> None:
    """Spare each record its place, thread and process, as Python's logging HOWTO advises under Optimization."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def config(level: str) -> dict[str, Any]:
    """Return a configuration for logging.config.dictConfig; `level` is that of our lines and of uvicorn's."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
        "loggers": {
            name: {"handlers": ["stderr"], "level": level, "propagate": False} for name in ("scorelet", "uvicorn")
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
    }
