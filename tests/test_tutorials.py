"""Both tutorials, run block by block from their pages with the installed programs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs import environment, free_port
from tests.waiting import HANGS, until

ROOT = Path(__file__).parents[1]
PORT = "8000"  # as the pages have it
BUILT = ("service", "dev", "docs")  # environments that the tests run in already
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("make", "curl", "bash"))), reason="the pages call make, curl and bash"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the project's Makefile, models and environment."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "models", folder / "models")
    (folder / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    return folder


def page_text(page: str) -> str:
    """Return the text of a tutorial."""
    return (ROOT / "docs" / "tutorial" / page).read_text(encoding="utf-8")


def blocks(page: str, port: int) -> list[str]:
    """Return the shell blocks of a tutorial, its environments taken as made and its port as free."""
    made = " ".join(f"--old-file .venv/{name}" for name in BUILT)
    found = re.findall(r"```sh\n(.*?)```", page_text(page), re.DOTALL)
    return [re.sub(r"^make", f"make {made} PORT={port}", block.replace(PORT, str(port)), flags=re.M) for block in found]


def shell(block: str, folder: Path, env: dict[str, str]) -> str:
    """Run one block as a reader would and return its output."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],  # noqa: S607
        cwd=folder, env=env, capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def running(block: str, folder: Path, env: dict[str, str], port: int) -> Iterator[None]:
    """Run a block that serves for as long as the context lasts."""
    command = ["bash", "-c", block]
    with (folder / "served.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
    ready = ["curl", "-sf", f"http://127.0.0.1:{port}/readyz"]
    try:
        until(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(HANGS)


@needs_tools
def test_first_score(project: Path) -> None:
    port = free_port()
    serve, *calls = blocks("first-score.md", port)
    env = environment(no_proxy="127.0.0.1")

    with running(serve, project, env, port):
        items, reply, refused, marked = (shell(block, project, env) for block in calls)

    [shown] = re.findall(r"```json\n(.*?)```", page_text("first-score.md"), re.DOTALL)
    assert '"demo-drying-towel"' in items
    assert json.loads(shown).items() <= json.loads(reply).items()
    assert json.loads(refused)["condition"] == "refusal"
    assert json.loads(marked)["final"]["score"] == json.loads(marked)["human_marks"][0]["score"] == 1


@needs_tools
@pytest.mark.torch
def test_first_item(project: Path, tmp_path: Path) -> None:
    env = environment(SCORELET_CACHE=tmp_path / "cache", PYTHONPATH=ROOT)

    said = [shell(block, project, env) for block in blocks("first-item.md", free_port())]

    assert (project / "build" / "report.html").stat().st_size > 10_000
    assert "demo-drying-towel" in said[-1]
    assert "review" in (project / "build" / "scored.csv").read_text(encoding="utf-8")
