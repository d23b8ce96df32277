"""The installed programs, started as a user would start them."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

BIN = Path(sys.executable).parent


def environment(**settings: object) -> dict[str, str]:
    """This one without what tells programs that they are tested, with the settings."""
    kept = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("SCORELET_")}
    return kept | {"OMP_NUM_THREADS": "1"} | {name: str(value) for name, value in settings.items()}


def run(*command: object, prefix: Sequence[object] = (), **settings: object) -> subprocess.CompletedProcess[str]:
    program, *arguments = command
    full = [*map(str, prefix), str(BIN / str(program)), *map(str, arguments)]
    return subprocess.run(full, env=environment(**settings), capture_output=True, text=True, timeout=300, check=False)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serving(
    prefix: Sequence[object] = (), said: Path | None = None, **settings: object
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`scorelet serve` on a free port: the process and its address, ended at the end if it still runs.

    `said`: a file for all that it writes to stdout and stderr.
    """
    port = free_port()
    command = [*map(str, prefix), str(BIN / "scorelet"), "serve", "--port", str(port)]
    with (said or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(command, env=environment(**settings), stdout=output, stderr=output)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_alive(process, address)
        yield process, address
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_alive(process: subprocess.Popen[bytes], address: str) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"{address}/livez", timeout=5):  # noqa: S310  # our own address
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("the service did not come up")
