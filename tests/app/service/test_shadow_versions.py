"""A version in the shadow of the live one: it scores, is logged, and changes no reply."""

import re
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session
from starlette.testclient import TestClient
from typer.testing import CliRunner

from app.cli.console import WorkFailed
from app.cli.main import cli
from app.cli.shadow_comparison import Agreement, agreement_of, compare
from app.scoring.bundle import METADATA
from app.scoring.decision import Judgement, ShadowItem
from app.scoring.item import Item
from app.scoring.live_version import ACTIVE, cast_shadow, read_active
from app.scoring.registry import Registry
from app.service.prediction import Prediction, Submission
from app.service.scorer import ScoringService
from app.service.shadow_versions import ShadowVersions
from app.storage.ids import uuid7
from app.storage.queries import shadowed_responses
from app.storage.tables import LoggedPrediction, ShadowVersion
from tests.app.conftest import Serve, Sql
from tests.app.scoring_services import scoring_service
from tests.programs import run
from tests.refusals import check_golden
from tests.tiny import write_tiny_bundle
from tests.waiting import HANGS, until

pytestmark = pytest.mark.usefixtures("models")

OLD, NEW, OTHER = "20260101T000000Z-00000001", "20260202T000000Z-00000002", "20260303T000000Z-00000003"
VERSIONS = r"\d{8}T\d{6}Z-\d{8}"
HALF = (2, 0.5, None)
TEXTS = ["warm air", "warm air goes up", "heat", ""]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The newer version, of which nobody has decided anything, stands in the shadow."""
    folder = tmp_path / "models"
    write_tiny_bundle(folder)
    before = (folder / "heat-1" / ACTIVE).read_text()
    write_tiny_bundle(folder, version=NEW)
    (folder / "heat-1" / ACTIVE).write_text(before)
    cast_shadow(folder / "heat-1", NEW, by="Ana")
    return folder


def score(client: TestClient) -> list[str]:
    batch = {"responses": [{"item_id": "heat-1", "response": text} for text in TEXTS]}
    results = client.post("/score/batch", json=batch).json()["results"]
    assert {result["bundle_version"] for result in results} == {OLD}
    return [result["prediction_id"] for result in results]


def rows(sql: Sql) -> list[dict[str, object]]:
    return sql("SELECT * FROM shadow_versions ORDER BY prediction_id")


def test_shadow_scores_every_response_and_is_compared(serve: Serve, models: Path, sql: Sql, engine: Engine) -> None:
    client = serve()

    ids = score(client)
    until(lambda: len(rows(sql)) == len(TEXTS))
    for prediction_id, mark in zip(ids[:2], (2, 0), strict=True):
        client.post(f"/predictions/{prediction_id}/review", json={"score": mark, "reviewer": "Ana"})

    written = {row["prediction_id"]: row for row in rows(sql)}
    assert [written[prediction_id]["score"] for prediction_id in ids] == [2, 3, 1, None]
    assert [written[prediction_id]["decision"] for prediction_id in ids] == ["auto", "auto", "auto", "not_scorable"]
    assert {row["version"] for row in written.values()} == {NEW}
    live = Registry.from_folder(models).live["heat-1"].bundle
    with Session(engine) as session:
        comparison = compare(session, live, NEW)
        nothing = compare(session, live.model_copy(update={"version": NEW}), OLD)
    assert (comparison.n, comparison.between.n, comparison.between.exact) == (4, 3, 1)
    assert (comparison.shadow_with_people.n, comparison.shadow_with_people.exact) == (2, 0.5)
    assert comparison.shadow_with_people.distance == pytest.approx(1.5)
    assert (comparison.live_stands, comparison.shadow_stands) == (0.75, 0.75)
    assert (nothing.n, nothing.between, nothing.live_stands) == (0, Agreement(0), None)


def test_shadow_reads_responses_without_mark_up(serve: Serve, sql: Sql) -> None:
    batch = {"responses": [{"item_id": "heat-1", "response": text} for text in ("<p>warm</p>", "&nbsp;", "warm")]}

    ids = [result["prediction_id"] for result in serve().post("/score/batch", json=batch).json()["results"]]
    until(lambda: len(rows(sql)) == len(ids))

    written = {row["prediction_id"]: row for row in rows(sql)}
    assert [written[prediction_id]["score"] for prediction_id in ids] == [1, None, 1]


def test_shadow_reads_in_the_format_of_its_own_item(serve: Serve, models: Path, sql: Sql) -> None:
    as_text = {"scale": "points", "max_score": 3, "format": "text"}
    before = (models / "heat-1" / ACTIVE).read_text()
    write_tiny_bundle(models, version=OTHER, item=as_text)
    (models / "heat-1" / ACTIVE).write_text(before)
    cast_shadow(models / "heat-1", OTHER, by="Ana")
    row = {"item_id": "heat-1", "response": "<p>warm</p>"}

    batch = {"responses": [row, row | {"format": "html"}, {"item_id": "heat-1", "response": "<p>" * 10_000}]}
    results = serve().post("/score/batch", json=batch).json()["results"]
    until(lambda: len(rows(sql)) == 2)  # the third is too long as text, and has no shadow

    written = {row["prediction_id"]: row["score"] for row in rows(sql)}
    assert [result["score"] for result in results] == [1, 1, None]
    assert [written.get(result["prediction_id"]) for result in results] == [3, 1, None]


def test_comparison_covers_only_responses_of_this_live_version_and_shadow(engine: Engine) -> None:
    """A version has been in the shadow of several, and several in the shadow of one version."""
    at = datetime(2026, 11, 21, tzinfo=UTC)
    with Session(engine) as session:
        for live, shadow, points in [(OLD, NEW, 1), (OLD, OTHER, 2), (OTHER, NEW, 3)]:
            row = LoggedPrediction(
                prediction_id=uuid7(), created_at=at, item_id="heat-1", bundle_version=live, scored_by="student",
                decision="auto", flags=[], score=0,
            )  # fmt: skip
            beside = ShadowVersion(
                prediction_id=row.prediction_id, version=shadow, created_at=at, decision="auto", score=points
            )
            session.add(row)
            session.flush()
            session.add(beside)

        compared = [
            shadowed_responses(session, "heat-1", *pair)
            for pair in [(OLD, NEW), (OLD, OTHER), (OTHER, NEW), (NEW, OLD)]
        ]

    assert [[row.shadow for row in rows] for rows in compared] == [[(1, None)], [(2, None)], [(3, None)], []]


def test_comparison_is_of_students_even_where_a_teacher_scored(
    serve: Serve, models: Path, sql: Sql, engine: Engine
) -> None:
    ids = score(serve())
    until(lambda: len(rows(sql)) == len(TEXTS))
    first = {"score": 2, "label": None, "expected_score": 2, "confidence": 0.01}
    changes: list[dict[str, object]] = [
        {"scored_by": "teacher", "score": 0, "confidence": 1, "first_score": first},
        {"decision": "review"},  # as in mode suggest
        {"flags": ["disordered"]},
    ]
    with engine.begin() as connection:
        for prediction_id, change in zip(ids, changes, strict=False):
            of_prediction = update(LoggedPrediction).where(LoggedPrediction.prediction_id == prediction_id)
            connection.execute(of_prediction.values(change))
    live = Registry.from_folder(models).live["heat-1"].bundle

    with Session(engine) as session:
        comparison = compare(session, live, NEW)
        unsure = compare(session, live.model_copy(update={"threshold": None}), NEW)

    assert (comparison.between.n, comparison.between.exact) == (3, 1)  # the teacher's 0 is not the student's 2
    assert (comparison.live_stands, comparison.shadow_stands) == (0.25, 0.75)
    assert unsure.live_stands == 0


def test_command_shows_the_comparison(serve: Serve, models: Path, sql: Sql, database_url: str) -> None:
    score(serve())
    until(lambda: len(rows(sql)) == len(TEXTS))

    shown = run("scorelet", "bundle", "compare", "heat-1", "--models", models, SCORELET_DATABASE_URL=database_url)

    assert shown.returncode == 0, shown.stderr
    check_golden("cli/bundle_compare.txt", shown.stdout)


def refusal(*arguments: object) -> WorkFailed:
    done = CliRunner().invoke(cli, ["bundle", *map(str, arguments)])
    assert isinstance(done.exception, WorkFailed)
    return done.exception


def test_shadow_is_set_and_removed_without_changing_the_release(models: Path) -> None:
    folder = models / "heat-1"
    before = read_active(folder)
    options = ("--by", "Ben", "--models", models)

    gone = run("scorelet", "bundle", "shadow", "heat-1", "--off", *options)
    assert re.findall(VERSIONS, gone.stdout) == [OLD]
    assert read_active(folder) == before.model_copy(update={"shadow": None})
    assert refusal("compare", "heat-1", "--models", models).code == "no_shadow"

    cast = run("scorelet", "bundle", "shadow", "heat-1", *options)
    assert re.findall(VERSIONS, cast.stdout) == [OLD, NEW]
    after = read_active(folder)
    assert after.shadow is not None
    assert (after.shadow.by, after.by, after.at) == ("Ben", before.by, before.at)

    assert refusal("shadow", "heat-1", OLD, *options).code == "shadow_is_live"


def test_broken_shadow_does_not_stop_its_item(serve: Serve, models: Path, sql: Sql) -> None:
    metadata = models / "heat-1" / NEW / METADATA
    metadata.write_bytes(metadata.read_bytes() + b" ")
    client = serve()

    score(client)

    live = Registry.from_folder(models).live["heat-1"]
    assert live.shadow is None
    assert live.without_shadow is not None
    assert live.without_shadow.code == "bundle_changed"
    assert rows(sql) == []


@pytest.mark.parametrize(
    ("scale", "pairs", "expected"),
    [
        ({"scale": "points", "max_score": 3}, [((2.0, None), (3.0, None)), ((None, None), (1.0, None))], (1, 0, 1)),
        ({"scale": "nominal", "labels": ("a", "b")}, [((None, "a"), (None, "a")), ((None, "a"), (None, "b"))], HALF),
        ({"scale": "ordinal", "labels": ("a", "b")}, [((0.0, "a"), (1.0, "b"))], (1, 0, 1)),
        ({"scale": "continuous", "min_score": 0, "max_score": 1}, [((0.5, None), (0.55, None))], (1, 1, 0.05)),
    ],
)  # fmt: skip
def test_agreement_on_every_scale(scale: dict[str, object], pairs: list, expected: tuple) -> None:  # type: ignore[type-arg]
    item = Item.model_validate({"item_id": "i", "prompt": "?"} | scale)

    agreement = agreement_of(item, pairs)

    assert (agreement.n, agreement.exact) == expected[:2]
    assert agreement.distance == (expected[2] if expected[2] is None else pytest.approx(expected[2]))


class Held(ShadowItem):
    """Judges when it is let go."""

    def __init__(self, shadow: ShadowItem) -> None:
        super().__init__(shadow.bundle, shadow.source)
        self.begun, self.go = threading.Event(), threading.Event()

    def judge(self, responses: list[str]) -> list[Judgement]:
        self.begun.set()
        assert self.go.wait(HANGS)
        return super().judge(responses)


@pytest.fixture
def registry(models: Path) -> Registry:
    return Registry.from_folder(models)


@pytest.fixture
def shadow(engine: Engine) -> ShadowVersions:
    return ShadowVersions(engine, end=HANGS)


@pytest.fixture
def scorer(registry: Registry, engine: Engine, shadow: ShadowVersions) -> ScoringService:
    return scoring_service(registry, engine, shadows=[shadow])


async def score_with(scorer: ScoringService, texts: Sequence[str] = TEXTS) -> list[str]:
    results = await scorer.score([Submission("heat-1", text) for text in texts], None)
    return [result.prediction_id for result in results if isinstance(result, Prediction)]


def test_shadow_backlog_is_written_before_the_shutdown(
    scorer: ScoringService, shadow: ShadowVersions, sql: Sql
) -> None:
    async def run() -> list[str]:
        ids = await score_with(scorer)
        await shadow.aclose()
        return ids

    ids = anyio.run(run)

    assert [row["prediction_id"] for row in rows(sql)] == sorted(ids)


def test_shadow_does_not_score_beyond_its_backlog(registry: Registry, engine: Engine, sql: Sql) -> None:
    shadow = ShadowVersions(engine, end=HANGS, max_waiting=3)
    scorer = scoring_service(registry, engine, shadows=[shadow])

    async def run() -> list[str]:
        ids = []
        for _ in range(2):  # the second time there is room again
            ids += (await score_with(scorer))[:3]
            await shadow.aclose()
        return ids

    ids = anyio.run(run)

    assert [row["prediction_id"] for row in rows(sql)] == sorted(ids)


def test_running_shadow_does_not_delay_the_shutdown_and_its_backlog_is_dropped(
    registry: Registry, engine: Engine, sql: Sql
) -> None:
    shadow = ShadowVersions(engine, end=0.01)
    scorer = scoring_service(registry, engine, shadows=[shadow])
    live = registry.live["heat-1"]
    assert live.shadow is not None
    live.shadow = held = Held(live.shadow)

    async def run() -> list[str]:
        first = await score_with(scorer, TEXTS[:1])
        await anyio.to_thread.run_sync(held.begun.wait, HANGS)
        await score_with(scorer, TEXTS[1:])
        await shadow.aclose()  # the shadow is at work still
        assert not held.go.is_set()
        held.go.set()
        await anyio.to_thread.run_sync(
            until, lambda: "shadows" not in {thread.name for thread in threading.enumerate()}
        )
        return first

    first = anyio.run(run)

    assert [row["prediction_id"] for row in rows(sql)] == first


def test_missing_shadow_is_reported_and_loaded_when_it_arrives(serve: Serve, models: Path, sql: Sql) -> None:
    metadata = models / "heat-1" / NEW / METADATA
    whole = metadata.read_bytes()
    metadata.unlink()
    client = serve(reload_seconds=0.05)
    live = Registry.from_folder(models).live["heat-1"]

    assert client.get("/readyz").json()["without_shadow"] == {"heat-1": str(live.without_shadow)}
    metadata.write_bytes(whole)

    until(lambda: client.get("/readyz").json()["without_shadow"] == {})
    score(client)
    until(lambda: len(rows(sql)) == len(TEXTS))


def test_author_of_a_shadow_is_recorded(serve: Serve, models: Path, sql: Sql) -> None:
    serve(reload_seconds=0.05)
    seen = "SELECT version, shadow, shadow_by FROM seen_activations WHERE item_id = 'heat-1' ORDER BY id"
    until(lambda: sql(seen))

    cast_shadow(models / "heat-1", None, by="Ben")

    until(lambda: len(sql(seen)) == 2)
    assert [tuple(row.values()) for row in sql(seen)] == [(OLD, NEW, "Ana"), (OLD, None, None)]
