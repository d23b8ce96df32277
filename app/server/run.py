"""Processes that serve: one, or several that share a port, kept alive by uvicorn's own supervisor."""

import ctypes
import gc
import os
import sys
import tempfile
from contextlib import ExitStack, suppress

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from app import logs
from app.main import create_app
from app.server.http_limits import BoundedProtocol
from app.service.metrics import COUNTS
from app.settings import Settings

LAST_REPLIES = 40  # seconds for what was taken, when it is to end: longer than a reply may wait for feedback
SILENT_WORKER = 60  # seconds until it is killed; on a slow machine the start alone takes longer than uvicorn's 5
M_ARENA_MAX = -8  # of glibc's mallopt


def run(settings: Settings) -> bool:
    """Until SIGTERM or SIGINT; requests that were taken are answered first.  False where it could not start."""
    config = uvicorn.Config(
        "app.server.run:worker",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        timeout_graceful_shutdown=LAST_REPLIES,
        timeout_worker_healthcheck=SILENT_WORKER,
        http=BoundedProtocol,
        ws="none",
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        server_header=False,
        access_log=False,  # it prints whole addresses, and whatever a caller put there
        log_config=logs.config(settings.log_level),
    )
    os.environ |= {f"SCORELET_{name.upper()}": str(getattr(settings, name)) for name in ("host", "port", "workers")}
    if settings.workers == 1:
        server = uvicorn.Server(config)
        with suppress(SystemExit):  # uvicorn has exit codes of its own
            server.run()
        return server.started
    with ExitStack() as stack:
        # In memory: on a disk that fills up a process that counts is killed by the system.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # a fresh folder in it
        os.environ[COUNTS] = stack.enter_context(tempfile.TemporaryDirectory(prefix="scorelet-", dir=memory))
        listening = config.bind_socket()
        stack.callback(listening.close)
        processes = Multiprocess(config, sockets=[listening])
        processes.run()
        return not any(process.exitcode == STARTUP_FAILURE for process in processes.processes)


def worker() -> FastAPI:
    """What each process serves, by settings from the environment."""
    if sys.platform == "linux":
        # One arena: students that come and go, read by several threads, else left half of each arena unused.
        with suppress(AttributeError):  # another C library than glibc has none
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    # The student reads a handful of words a response that it has not met: handing them to threads costs more than that.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logs.leave_out_place_and_thread()
    app = create_app()
    gc.freeze()  # the program itself need not be looked through for garbage, and requests leave little:
    gc.set_threshold(50_000, 20, 20)  # by Python's own rule that took a fifth of the time
    return app
