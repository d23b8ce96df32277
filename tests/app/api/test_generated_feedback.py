"""Feedback by a language model: llama.cpp in a process, with a model of a single text (tests/tiny_feedback.py)."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from starlette.testclient import TestClient

from app.scoring.bundle_files import file_sha256
from app.scoring.feedback.bundle import FEEDBACK_FOLDER
from app.scoring.item import Item
from app.scoring.live_version import ACTIVE
from app.service.feedback.writer import START_TIMEOUT, Writer
from tests.app.api.assertions import BOTH
from tests.app.conftest import Serve, Sql
from tests.refusals import log_lines
from tests.tiny import write_tiny_bundle
from tests.tiny_feedback import VERSION, write_tiny_feedback
from tests.waiting import HANGS, until

pytestmark = pytest.mark.usefixtures("models")

RAIN: dict[str, Any] = {"scale": "points", "max_score": 3, "feedback": {"1": "Say where it rises.", "2": "Nearly so."}}
MODEL = f"tiny/{VERSION}"


def item(item_id: str, **fields: Any) -> Item:
    scale = {"scale": "points", "max_score": 3}
    return Item.model_validate({"item_id": item_id, "prompt": "Why does heat rise?"} | scale | fields)


@pytest.fixture
def models(models: Path) -> Path:
    """Write heat-1 without a bank, and rain-7 with a bank for 1 and 2 points."""
    write_tiny_bundle(models, "rain-7", item=RAIN)
    return models


@pytest.fixture
def both() -> tuple[Item, Item]:
    return item("heat-1"), item("rain-7", **RAIN)


def ask(client: TestClient, item_id: str, response: str, prefer: str | None = None) -> dict[str, Any]:
    """Return the reply to a request with feedback; `prefer` is the header of this name."""
    headers = {"Prefer": prefer} if prefer else {}
    body = {"item_id": item_id, "response": response, "feedback": True}
    reply = client.post("/score", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    scored: dict[str, Any] = reply.json()
    return scored


def settled(client: TestClient, item_id: str, response: str) -> dict[str, Any]:
    """Return the prediction after its feedback has arrived or failed, however long a busy machine takes."""
    reply = ask(client, item_id, response)
    return until_settled(client, reply["prediction_id"]) if reply["feedback_withheld"] == "pending" else reply


def read(client: TestClient, prediction_id: str) -> dict[str, Any]:
    reply = client.get(f"/predictions/{prediction_id}")
    assert reply.status_code == 200, reply.text
    prediction: dict[str, Any] = reply.json()
    return prediction


def until_settled(client: TestClient, prediction_id: str) -> dict[str, Any]:
    writer = the_writer(client)
    # Polling the writer first is free, whereas each request slows the worker on a shared core.
    until(lambda: not writer.places.taken)
    until(lambda: read(client, prediction_id)["feedback_withheld"] != "pending")
    return read(client, prediction_id)


def the_writer(client: TestClient) -> Writer:
    [writer] = client.app_state["model_pool"].writers
    return cast("Writer", writer)


def expire_deadline(client: TestClient, *, starting: bool = False) -> None:
    """Expire the deadline of the text that is being written, or of the worker that is `starting`."""
    assert client.portal is not None
    writer = the_writer(client)

    async def expire() -> bool:
        deadline = writer.deadline
        seconds = deadline.when() if deadline else None
        if (
            deadline is None
            or seconds is None
            or (seconds - asyncio.get_running_loop().time() <= START_TIMEOUT) != starting
        ):
            return False
        deadline.reschedule(0)
        return True

    until(lambda: client.portal and client.portal.call(expire))


def workers() -> list[int]:
    """Return the ids of this process's children that run a language model."""
    children = []
    for folder in Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
            if int(fields[1]) == os.getpid() and b"app.service.feedback.worker" in command:
                children.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return children


@BOTH
def test_waiting_caller_gets_generated_feedback_with_the_score(
    serve: Serve, models: Path, both: tuple[Item, Item]
) -> None:
    write_tiny_feedback(models, both, text="Nearly")
    client = serve()
    settled(client, "rain-7", "warm air")  # the worker has started

    reply = ask(client, "heat-1", "warm air", prefer="wait=30")

    assert reply["score"] == 2
    assert reply["feedback"] == {"text": "Nearly", "source": "model", "version": MODEL, "instead_because": None}
    assert reply["feedback_withheld"] is None
    assert read(client, reply["prediction_id"]) | reply == read(client, reply["prediction_id"])


@BOTH
def test_generated_feedback_reaches_the_log(serve: Serve, models: Path, both: tuple[Item, Item]) -> None:
    write_tiny_feedback(models, both, text="Nearly")
    client = serve()

    reply = ask(client, "heat-1", "warm air")

    assert (reply["score"], reply["feedback"], reply["feedback_withheld"]) == (2, None, "pending")
    later = until_settled(client, reply["prediction_id"])
    assert later["feedback"] == {"text": "Nearly", "source": "model", "version": MODEL, "instead_because": None}
    assert client.get("/predictions").json()["predictions"] == [later]


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=29", "wait=29"),
        ("respond-async, Wait = 28", "wait=28"),
        ("wait=99999999999", "wait=30"),
        ("waiting=29", None),
        ("x" * 5000, None),
    ],
)
def test_applied_preference_is_returned(
    serve: Serve, models: Path, both: tuple[Item, Item], prefer: str, applied: str | None
) -> None:
    write_tiny_feedback(models, both, text="Nearly")
    body = {"item_id": "heat-1", "response": "warm air", "feedback": True}
    client = serve()
    settled(client, "rain-7", "warm air")  # the worker has started

    reply = client.post("/score", json=body, headers={"Prefer": prefer})

    assert reply.headers.get("Preference-Applied") == applied
    assert (reply.json()["feedback"] is None) == (applied is None)


@pytest.mark.parametrize(
    ("text", "response", "objection"),
    [
        ("Quite right", "warm air", "contradicts_score"),  # two words get full marks
        ("...", "warm air", "empty"),
        ("warm air rises since it is so light", "warm air rises since it is so light", "repeats_response"),
        (
            "warm air rises since it is so light",
            "<p>warm air <b>ris</b>es<br>since it is so light</p>",
            "repeats_response",
        ),
    ],
)
def test_refused_text_is_replaced_by_the_bank_and_counted(
    serve: Serve, models: Path, both: tuple[Item, Item], sql: Sql, text: str, response: str, objection: str
) -> None:
    write_tiny_feedback(models, both, text=text)
    client = serve()

    replaced, withheld = settled(client, "rain-7", response), settled(client, "heat-1", response)

    if objection == "repeats_response":  # three points, for which the bank has no text
        assert (replaced["feedback"], replaced["feedback_withheld"]) == (None, objection)
    else:
        version = replaced["bundle_version"]
        banked = {"text": "Nearly so.", "source": "bank", "version": version, "instead_because": objection}
        assert (replaced["feedback"], replaced["feedback_withheld"]) == (banked, None)
    assert (withheld["feedback"], withheld["feedback_withheld"]) == (None, objection)
    assert sql("SELECT model, count(*) AS texts FROM generated_feedback GROUP BY model") == [
        {"model": MODEL, "texts": 2}
    ]


def test_text_that_fits_its_score_is_shown(serve: Serve, models: Path, both: tuple[Item, Item]) -> None:
    write_tiny_feedback(models, both, text="Quite right")

    assert settled(serve(), "rain-7", "warm air rises")["feedback"]["text"] == "Quite right"


def test_truncated_text_ends_with_a_whole_sentence(serve: Serve, models: Path, both: tuple[Item, Item]) -> None:
    write_tiny_feedback(models, both, text="Good. And so on", endless=True)

    text = settled(serve(), "rain-7", "warm air rises")["feedback"]["text"]

    assert text.startswith("Good. And so on Good. And so on")
    assert text.endswith("on Good.")


def test_hanging_model_delays_no_score_and_is_restarted(serve: Serve, models: Path, both: tuple[Item, Item]) -> None:
    write_tiny_feedback(models, both, text="Nearly")
    client = serve(feedback_queue=2)
    settled(client, "heat-1", "warm air")
    [worker] = workers()
    os.kill(worker, signal.SIGSTOP)

    held = [ask(client, "rain-7", "warm air") for _ in range(2)]
    refused, without_bank = ask(client, "rain-7", "warm air"), ask(client, "heat-1", "warm air")
    waiting = [read(client, reply["prediction_id"])["feedback_withheld"] for reply in held]
    expire_deadline(client)

    assert waiting == ["pending", "pending"]  # every reply came before the first text's deadline
    assert [reply["feedback_withheld"] for reply in held] == ["pending", "pending"]
    assert refused["feedback"]["text"] == "Nearly so."
    assert refused["feedback"]["instead_because"] == "queue_full"
    assert (without_bank["feedback"], without_bank["feedback_withheld"]) == (None, "queue_full")
    first, second = (until_settled(client, reply["prediction_id"])["feedback"] for reply in held)
    assert (first["source"], first["instead_because"]) == ("bank", "failed")
    assert (second["source"], second["text"]) == ("model", "Nearly")  # by the restarted process
    assert worker not in workers()


def test_dead_model_is_restarted(serve: Serve, models: Path, both: tuple[Item, Item]) -> None:
    write_tiny_feedback(models, both, text="Nearly")
    client = serve()
    settled(client, "heat-1", "warm air")
    for worker in workers():
        os.kill(worker, signal.SIGKILL)

    died, after = settled(client, "heat-1", "warm air"), settled(client, "heat-1", "warm air")

    # The death may not have been noticed yet.
    assert (died["score"], died["feedback_withheld"]) in ((2, None), (2, "failed"))
    assert after["feedback"]["text"] == "Nearly"


READY = "print('{}', flush=True)"
ASKED = "sys.stdin.readline()"
HANG = "signal.pause()"


@pytest.mark.parametrize(
    ("lines", "deadline"),
    [
        (["sys.exit(3)"], None),
        ([READY, "sys.exit(3)"], None),
        (["os.close(0)", READY, HANG], "text"),
        ([READY, ASKED, 'print(\'{"job": 1, "text": 5, "tokens": 1}\', flush=True)', HANG], None),
        ([READY, ASKED, "print('null', flush=True)", HANG], None),
        ([READY, ASKED, 'print(\'{"job": 9, "text": "Nearly"}\', flush=True)', HANG], None),
        ([READY, ASKED, "while True: print('x' * 1000)"], None),
        ([HANG], "start"),
    ],
)
def test_misbehaving_worker_loses_its_text_but_not_the_queue(
    serve: Serve, models: Path, both: tuple[Item, Item], lines: list[str], deadline: str | None
) -> None:
    """A silent worker runs into its `deadline`, of the start or of the text."""
    write_tiny_feedback(models, both)
    client = serve(feedback_queue=1)
    sound = the_writer(client).program
    the_writer(client).program = (sys.executable, "-c", "\n".join(["import os, signal, sys", *lines]))

    asked = ask(client, "heat-1", "warm air")
    if deadline:
        expire_deadline(client, starting=deadline == "start")
    failed = until_settled(client, asked["prediction_id"])
    the_writer(client).program = sound
    mended = settled(client, "heat-1", "warm air")

    assert (failed["score"], failed["feedback_withheld"]) == (2, "failed")
    assert mended["feedback"]["text"] == "Nearly"


def test_model_that_llama_cpp_cannot_load_is_named_in_the_log(
    serve: Serve, models: Path, both: tuple[Item, Item], caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_tiny_feedback(models, both)
    (folder / "base.gguf").write_bytes(b"GGUF but no model")
    metadata = json.loads((folder / "feedback.json").read_text())
    metadata["sha256"]["base.gguf"] = file_sha256(folder / "base.gguf")
    (folder / "feedback.json").write_text(json.dumps(metadata))

    assert settled(serve(), "rain-7", "warm air")["feedback"]["instead_because"] == "failed"
    assert {"model": MODEL} in log_lines(caplog, "feedback_model_unusable")
    assert "base.gguf" in caplog.text


def test_model_runs_at_low_priority(serve: Serve, models: Path, both: tuple[Item, Item]) -> None:
    write_tiny_feedback(models, both)
    settled(serve(feedback_threads=2), "heat-1", "warm air")

    [worker] = workers()

    assert os.getpriority(os.PRIO_PROCESS, worker) >= 10
    arguments = Path(f"/proc/{worker}/cmdline").read_bytes().split(b"\0")
    assert arguments[-2] == b"2"


def listening_ports(process: int) -> list[int]:
    """Return the TCP ports that a process listens on."""
    sockets = {str(file.readlink()) for file in Path(f"/proc/{process}/fd").iterdir()}
    ports = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, state, inode = fields[1], fields[3], fields[9]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                ports.append(int(address.rpartition(":")[2], 16))
    return ports


def test_port_of_the_model_is_locked(serve: Serve, models: Path, both: tuple[Item, Item]) -> None:
    """llama.cpp opens a port on this machine, and the port needs a key."""
    write_tiny_feedback(models, both)
    settled(serve(), "heat-1", "a secret response")
    [worker] = workers()

    for port in listening_ports(worker):
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=HANGS) as stranger:
            for path in ("/completion", "/lora-adapters", "/tokenize", "/apply-template"):
                assert stranger.post(path, json={"prompt": "a"}).status_code == 401, path
            for path in ("/props", "/slots", "/metrics", "/lora-adapters"):
                assert stranger.get(path).status_code in (401, 404, 501), path


def test_shutdown_ends_the_model_and_settles_pending_feedback(
    serve: Serve, models: Path, both: tuple[Item, Item]
) -> None:
    write_tiny_feedback(models, both, text="Nearly")
    client = serve()
    settled(client, "heat-1", "warm air")
    for worker in workers():
        os.kill(worker, signal.SIGSTOP)
    waiting = [ask(client, item_id, "warm air") for item_id in ("rain-7", "heat-1")]

    client.__exit__()

    assert workers() == []
    (models / FEEDBACK_FOLDER / "tiny" / ACTIVE).unlink()
    again = serve()
    banked, withheld = (read(again, reply["prediction_id"]) for reply in waiting)
    assert banked["feedback"]["instead_because"] == "failed"
    assert (withheld["feedback"], withheld["feedback_withheld"]) == (None, "failed")


def test_feedback_lost_in_a_crash_ends_as_failed(serve: Serve, models: Path, both: tuple[Item, Item], sql: Sql) -> None:
    write_tiny_feedback(models, both, text="Nearly")
    client = serve()
    reply = settled(client, "heat-1", "warm air")
    sql("DELETE FROM generated_feedback")
    assert read(client, reply["prediction_id"])["feedback_withheld"] == "pending"

    sql("UPDATE predictions SET created_at = '2026-01-01 00:00:00+00:00'")

    assert read(client, reply["prediction_id"])["feedback_withheld"] == "failed"


def test_feedback_for_a_batch_is_generated_row_after_row(serve: Serve, models: Path, both: tuple[Item, Item]) -> None:
    write_tiny_feedback(models, both, text="Nearly")
    client = serve()
    rows = [{"item_id": "heat-1", "response": words, "feedback": True} for words in ("warm", "", "warm air", "x" * 30)]

    results = client.post("/score/batch", json={"responses": rows}).json()["results"]

    assert [row["feedback_withheld"] for row in results] == ["pending", "not_scored", "pending", "pending"]
    texts = [until_settled(client, row["prediction_id"])["feedback"] for row in results]
    assert [text and text["text"] for text in texts] == ["Nearly", None, "Nearly", "Nearly"]


def test_model_writes_only_for_items_it_was_trained_on(serve: Serve, models: Path) -> None:
    write_tiny_feedback(models, [item("heat-1", prompt="Another question?"), item("plants-2", max_score=5)])
    client = serve()

    assert [ask(client, i, "warm air")["feedback_withheld"] for i in ("heat-1", "plants-2")] == ["no_text", "no_text"]
    assert workers() == []
    feedback = {item["item_id"]: item["feedback"] for item in client.get("/items").json()["items"]}
    assert (feedback["heat-1"], feedback["rain-7"]) == (None, "bank")


def test_model_that_is_not_live_writes_no_feedback(serve: Serve, models: Path, both: tuple[Item, Item]) -> None:
    write_tiny_feedback(models, both, live=False)
    client = serve()

    assert ask(client, "rain-7", "warm air")["feedback"]["source"] == "bank"
    assert client.get("/readyz").json()["refused_feedback_models"] == {}


def test_live_model_is_named_and_its_release_is_logged(
    serve: Serve, models: Path, both: tuple[Item, Item], sql: Sql
) -> None:
    write_tiny_feedback(models, both)
    client = serve()

    ready = client.get("/readyz").json()

    assert (ready["feedback_models"], ready["refused_feedback_models"]) == ([MODEL], {})
    assert client.get("/items/heat-1").json()["feedback"] == "model"
    activations = sql("SELECT version, by FROM seen_activations WHERE item_id = '_feedback/tiny'")
    assert activations == [{"version": VERSION, "by": "a test"}]


def test_damaged_model_is_refused_by_name_and_replaced_by_the_bank(
    serve: Serve, models: Path, both: tuple[Item, Item], caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_tiny_feedback(models, both)
    (folder / "base.gguf").write_bytes(b"GGUF")
    client = serve()

    ready = client.get("/readyz").json()

    assert ready["status"] == "ready"
    assert list(ready["refused_feedback_models"]) == ["tiny"]
    assert log_lines(caplog, "feedback_model_refused") == [{"name": "tiny", "cause": "wrong_checksum"}]
    assert ask(client, "rain-7", "warm air")["feedback"]["text"] == "Nearly so."


def test_failure_to_store_feedback_fails_no_score(
    serve: Serve, models: Path, both: tuple[Item, Item], sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    write_tiny_feedback(models, both)
    client = serve()
    sql("ALTER TABLE generated_feedback RENAME TO gone")

    reply = ask(client, "heat-1", "warm secret air")

    assert reply["score"] == 3
    until(lambda: log_lines(caplog, "feedback_lost") == [{"error": "OperationalError"}])
    assert "secret" not in caplog.text


def test_repeated_call_generates_no_second_feedback(
    serve: Serve, models: Path, both: tuple[Item, Item], sql: Sql
) -> None:
    write_tiny_feedback(models, both)
    client = serve()
    body = {"item_id": "heat-1", "response": "warm air", "feedback": True}

    replies = [client.post("/score", json=body, headers={"Idempotency-Key": "a"}).json() for _ in range(2)]

    finished = until_settled(client, replies[0]["prediction_id"])
    assert replies[0] | {"feedback": None, "feedback_withheld": "pending"} == replies[0]
    again = client.post("/score", json=body, headers={"Idempotency-Key": "a"}).json()
    assert (again["feedback"], again["feedback_withheld"]) == (finished["feedback"], None)
    assert sql("SELECT count(*) AS texts FROM generated_feedback") == [{"texts": 1}]


def test_failed_commits_free_their_places_in_the_queue(
    serve: Serve, models: Path, both: tuple[Item, Item], sql: Sql
) -> None:
    write_tiny_feedback(models, both)
    client = serve(feedback_queue=1)
    sql("ALTER TABLE predictions RENAME TO gone")
    body = {"item_id": "heat-1", "response": "warm air", "feedback": True}
    assert [client.post("/score", json=body).status_code for _ in range(3)] == [503] * 3

    sql("ALTER TABLE gone RENAME TO predictions")

    assert settled(client, "heat-1", "warm air")["feedback"]["text"] == "Nearly"
