"""Cases that HTTP cannot show: a cancelled request, and a shutdown while teachers run."""

import asyncio
import json
import sqlite3
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import Engine

from app.scoring.registry import Registry
from app.service.prediction import Prediction, Submission
from app.service.shadow_teachers import ShadowTeachers
from app.settings import Settings
from tests.app.conftest import Logged, Sql
from tests.app.held import HeldTeacher
from tests.app.scoring_services import pool_of, scoring_service
from tests.programs import run, serving
from tests.tiny import write_tiny_bundle
from tests.tiny_teacher import POINTS, SURE, fall_back, item_of, plus_one_onnx, write_tiny_teacher
from tests.waiting import HANGS, until

UNSURE, SLOW = "warm", "cold cold"  # words that take the teacher a moment each


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    item = item_of(write_tiny_bundle(folder, threshold=SURE))
    write_tiny_teacher(folder, [item], members=[plus_one_onnx(POINTS, slow_at="cold")])
    fall_back(folder)
    return folder


@pytest.mark.parametrize("responses", [1, 10])
def test_cancelled_request_releases_its_place_and_writes_nothing(
    models: Path, engine: Engine, logged: Logged, responses: int
) -> None:
    settings = Settings(fallback_workers=1, fallback_queue=0, fallback_timeout=60)

    async def until_answered() -> Prediction:
        registry = Registry.from_folder(models)
        scorer = scoring_service(registry, engine, settings)
        teacher = HeldTeacher(registry.live["heat-1"])
        async with anyio.create_task_group() as caller:
            caller.start_soon(scorer.score, [Submission("heat-1", SLOW)] * responses, None)
            assert await anyio.to_thread.run_sync(teacher.is_at_work)
            caller.cancel_scope.cancel()
        [busy] = await scorer.score([Submission("heat-1", UNSURE)], None)
        assert isinstance(busy, Prediction)
        assert (busy.decision, busy.score) == ("review", 1)  # while the first is at work
        teacher.go.set()
        await anyio.to_thread.run_sync(until, lambda: scorer.teacher_pool.taken == 0)
        [result] = await scorer.score([Submission("heat-1", UNSURE)], None)
        assert isinstance(result, Prediction)
        assert result.scored_by == "teacher"
        scorer.teacher_pool.close()
        return result

    assert anyio.run(until_answered).score == 2
    assert {row.response for row in logged()} == {UNSURE}


def test_shadow_does_not_score_beyond_its_backlog(models: Path, engine: Engine, sql: Sql) -> None:
    fall_back(models, policy="shadow")
    settings = Settings(fallback_timeout=60)
    pool = pool_of(settings)
    shadow = ShadowTeachers(pool, engine, max_waiting=2)
    scorer = scoring_service(Registry.from_folder(models), engine, settings, teacher_pool=pool, shadows=[shadow])

    async def score(responses: int) -> list[str]:
        """Those of the predictions that may have a shadow, when all that may come has."""
        results = await scorer.score([Submission("heat-1", UNSURE)] * responses, None)
        while len(asyncio.all_tasks()) > 1:
            await anyio.sleep(0.01)
        return [result.prediction_id for result in results[:2] if isinstance(result, Prediction)]

    async def run() -> list[str]:
        ids = [*await score(5), *await score(1)]  # by then there is room again
        await shadow.aclose()
        pool.close()
        return ids

    ids = anyio.run(run)

    assert len(ids) == 3
    assert {row["prediction_id"] for row in sql("SELECT prediction_id FROM shadow_scores")} == {*ids}


def post(address: str, path: str, body: Any) -> Any:
    request = urllib.request.Request(  # noqa: S310  # our own address
        f"{address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=HANGS) as reply:  # noqa: S310
        return json.load(reply)


@pytest.fixture
def settings(models: Path, tmp_path: Path) -> dict[str, Any]:
    environment = {"SCORELET_MODELS_DIR": models, "SCORELET_DATABASE_URL": f"sqlite:///{tmp_path / 'log.db'}"}
    assert run("scorelet", "db", "upgrade", **environment).returncode == 0  # type: ignore[arg-type]
    return environment


def metrics(address: str) -> str:
    with urllib.request.urlopen(f"{address}/metrics", timeout=HANGS) as reply:  # noqa: S310  # our own address
        return str(reply.read(), "utf-8")


def heard(file: Path) -> tuple[str, ...]:
    """Return a prefix of a command that sends its standard error to the file."""
    return ("sh", "-c", f'exec "$@" 2>"{file}"', "sh")


@pytest.mark.parametrize("policy", ["shadow", "unsure"])
def test_shutdown_while_teachers_run_is_clean_and_quick(
    models: Path, tmp_path: Path, settings: dict[str, Any], policy: Literal["shadow", "unsure"]
) -> None:
    """Of forty responses that take a moment each; in the shadow all wait, of unsure ones the last was given up."""
    fall_back(models, policy=policy)
    settings |= {"SCORELET_FALLBACK_TIMEOUT": 0.05 if policy == "unsure" else 60, "SCORELET_FALLBACK_QUEUE": 40}
    with serving(prefix=heard(tmp_path / "output"), **settings) as (process, address):
        body = {"responses": [{"item_id": "heat-1", "response": SLOW}] * 40}
        results = post(address, "/score/batch", body)["results"]
        process.terminate()
        process.wait(timeout=HANGS)

    with closing(sqlite3.connect(tmp_path / "log.db")) as database:
        [shadows] = database.execute("SELECT count(*) FROM shadow_scores").fetchone()
    assert shadows < 40  # it did not wait for all
    assert {result["scored_by"] for result in results} == {"student"}
    output = (tmp_path / "output").read_text()
    assert "Application shutdown complete" in output
    assert "Traceback" not in output
    assert SLOW not in output


def test_caller_waiting_for_a_teacher_gets_a_reply_during_the_shutdown(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    settings |= {"SCORELET_FALLBACK_TIMEOUT": 60}
    with (
        serving(prefix=heard(tmp_path / "output"), **settings) as (process, address),
        ThreadPoolExecutor(1) as executor,
    ):
        waiting = executor.submit(post, address, "/score", {"item_id": "heat-1", "response": SLOW})
        until(lambda: "scorelet_fallback_waiting 1.0" in metrics(address))
        process.terminate()
        reply = waiting.result(timeout=HANGS)
        process.wait(timeout=HANGS)

    assert (reply["scored_by"], reply["score"]) == ("teacher", 3)
    assert "Traceback" not in (tmp_path / "output").read_text()
