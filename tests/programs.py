"""Run the installed programs as a user does, each in its own process.

Commands are forked from a server that has imported the programs, because starting Python takes longer than most
commands.  Sealed programs and services start a new Python.
"""

import importlib
import multiprocessing
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import HANGS, until

BIN = Path(sys.executable).parent
MAINS = {"scorelet": "app.cli.main", "scorelet-train": "training.__main__"}  # modules with a `main`
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # for plain HTTP: the default context reads all certificates
_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["tests.programs", "pytest", "alembic.command", *MAINS.values()])


def environment(**settings: object) -> dict[str, str]:
    """Return this environment with other settings, and without variables that reveal a test run."""
    kept = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("SCORELET_")}
    return kept | {"OMP_NUM_THREADS": "1"} | {name: str(value) for name, value in settings.items()}


def run(
    *command: object, prefix: Sequence[object] = (), without: Sequence[str] = (), **settings: object
) -> subprocess.CompletedProcess[str]:
    """Run a command and return its output and exit code.  It cannot import the packages in `without`."""
    program, *arguments = map(str, command)
    if program in MAINS and not prefix:
        return _forked(program, arguments, without, environment(**settings))
    full = [*map(str, prefix), str(BIN / program), *arguments]
    return subprocess.run(full, env=environment(**settings), capture_output=True, text=True, timeout=HANGS, check=False)


def _forked(
    program: str, arguments: Sequence[str], without: Sequence[str], env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        process = _forking.Process(
            target=_main, args=(program, arguments, without, dict(env), str(Path.cwd()), *map(str, outputs))
        )
        process.start()
        process.join(HANGS)
        if (code := process.exitcode) is None:
            process.kill()
            process.join()
            raise TimeoutError(f"{program} does not end")
        process.close()
        return subprocess.CompletedProcess([program, *arguments], code, *(file.read_text() for file in outputs))


def _main(
    program: str, arguments: Sequence[str], without: Sequence[str], env: dict[str, str], cwd: str, out: str, err: str
) -> None:
    """Run the program in a process that was forked for it."""
    for descriptor, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    if imported := sys.modules.keys() & set(without):
        raise ImportError(f"{program} imports {imported} before it needs them")
    sys.modules.update(dict.fromkeys(without))  # type: ignore[arg-type]  # The import of None fails.
    sys.argv = [str(BIN / program), *arguments]
    importlib.import_module(MAINS[program]).main()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serving(
    prefix: Sequence[object] = (), said: Path | None = None, **settings: object
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run `scorelet serve` on a free port; yield the process and its address; end the process if it still runs.

    `said` is a file for stdout and stderr.
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
            process.wait(timeout=HANGS)


def _wait_until_alive(process: subprocess.Popen[bytes], address: str) -> None:
    def lives() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"{address}/livez", timeout=HANGS):  # noqa: S310  # our own address
                return True
        except OSError:
            return False

    until(lives)
