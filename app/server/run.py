"""Run the server: one process, or several under uvicorn's supervisor that share a port."""

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
from app.server.http_limits import LimitedProtocol
from app.service.metrics import COUNTS
from app.settings import Settings

SHUTDOWN_TIMEOUT = 40  # seconds to finish accepted requests; longer than a reply may wait for feedback
WORKER_TIMEOUT = 60  # seconds before a silent worker is killed; a slow machine needs more than uvicorn's 5 to start
M_ARENA_MAX = -8  # glibc's option of mallopt


def run(settings: Settings) -> bool:
    """Run until SIGTERM or SIGINT, then finish accepted requests.  Return False if the service could not start."""
    config = _config(settings)
    # Workers read the command line's settings from the environment.
    for name in ("host", "port", "workers"):
        os.environ[f"SCORELET_{name.upper()}"] = str(getattr(settings, name))
    if settings.workers == 1:
        server = uvicorn.Server(config)
        with suppress(SystemExit):  # uvicorn's exit codes differ from ours
            server.run()
        return server.started
    with ExitStack() as stack:
        # The metrics' files are in memory: on a full disk the system would kill the writing process.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # a fresh folder in it
        os.environ[COUNTS] = stack.enter_context(tempfile.TemporaryDirectory(prefix="scorelet-", dir=memory))
        socket = config.bind_socket()
        stack.callback(socket.close)
        supervisor = Multiprocess(config, sockets=[socket])
        supervisor.run()
        return not any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)


def _config(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        "app.server.run:worker",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
        timeout_worker_healthcheck=WORKER_TIMEOUT,
        http=LimitedProtocol,
        ws="none",
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        server_header=False,
        access_log=False,  # uvicorn's prints whole addresses and query strings
        log_config=logs.config(settings.log_level),
    )


def worker() -> FastAPI:
    """Create the application of a process, with settings from the environment."""
    if sys.platform == "linux":
        # One arena: students that several threads load and evict would leave half of each arena unused.
        with suppress(AttributeError):  # C libraries other than glibc lack mallopt
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    # A response has a handful of new words: passing these to threads would cost more than tokenising them.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    app = create_app()
    # Requests leave little garbage, and the program's objects stay.  By default, collection took a fifth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    return app
