import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import uvicorn
from sqlalchemy.exc import OperationalError

from app.main import create_app
from app.service.startup import CannotStart, OpenToTheNetwork
from app.settings import Settings
from tests.app.conftest import ITEMS, Logged, MakeKey, Serve, Sql
from tests.programs import NO_TLS
from tests.refusals import log_lines, refused
from tests.waiting import HANGS

CANARY = "the canary sings of convection"
HEAVY = "torch", "transformers", "training", "onnx"


def test_service_imports_no_package_of_training() -> None:
    program = f"import sys, app.main, app.cli.main; print([name for name in {HEAVY} if name in sys.modules])"

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


def test_creating_the_service_touches_no_file(tmp_path: Path) -> None:
    program = "from app.main import create_app; create_app()"

    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.168.1.5", "scorelet.school.example", "localhost.school.example", ""],  # noqa: S104
)
def test_service_without_keys_does_not_start_on_the_network(serve: Serve, host: str) -> None:
    with refused(OpenToTheNetwork, "open_to_the_network", host=host):
        serve(host=host)


def test_database_error_at_the_start_hides_its_message(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("user anna at host grades"))

    monkeypatch.setattr("app.service.startup.is_open", fail)

    with refused(CannotStart, "database_failed", error="OperationalError") as caught:
        serve()

    assert "anna" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_service_without_keys_starts_on_loopback_and_logs_it(
    serve: Serve, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    client = serve(host=host)

    assert client.get("/readyz").json()["open"] is True
    assert log_lines(caplog, "open") == [{}]


@pytest.mark.parametrize("revoked", [False, True])
def test_service_with_a_key_starts_on_any_address(
    serve: Serve, make_key: MakeKey, caplog: pytest.LogCaptureFixture, *, revoked: bool
) -> None:
    make_key("score", revoked=revoked)

    client = serve(host="0.0.0.0")  # noqa: S104

    assert client.get("/readyz").json()["open"] is False
    assert client.get("/items").status_code == 401
    assert log_lines(caplog, "open") == []


def test_service_without_a_schema_starts_and_is_not_ready(
    serve: Serve, empty_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve(host="0.0.0.0", database_url=empty_database_url, caller="10.0.0.7")  # noqa: S104

    assert client.get("/readyz").status_code == 503
    assert client.get("/items").status_code in (401, 503)
    assert log_lines(caplog, "not_ready") == [{"cause": "database_empty"}]


def test_live_versions_are_recorded_once_per_change(serve: Serve, sql: Sql) -> None:
    serve()
    serve()

    seen = sql('SELECT item_id, mode, "by", reason FROM seen_activations ORDER BY item_id')
    assert [row["item_id"] for row in seen] == sorted(ITEMS)
    assert {(row["by"], row["reason"]) for row in seen} == {("a test", "to test")}
    assert [row["mode"] for row in seen if row["item_id"] == "tides-4"] == ["suggest"]


def test_refused_item_is_logged_by_name(models: Path, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    (models / "heat-1" / "ACTIVE").unlink()

    serve()

    assert log_lines(caplog, "item_refused") == [{"item_id": "heat-1", "cause": "none_active"}]


@contextmanager
def listening(settings: Settings) -> Iterator[str]:
    """The service behind a real uvicorn, as loud as it gets, in a thread; its address."""
    config = uvicorn.Config(create_app(settings), port=0, log_config=None, log_level="trace", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield "http://{}:{}".format(*server.servers[0].sockets[0].getsockname())
    finally:
        server.should_exit = True
        thread.join()


def test_response_reaches_no_log_of_a_real_server(
    models: Path, database_url: str, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    body = {"item_id": "heat-1", "response": CANARY}

    with listening(Settings.model_validate({"models_dir": models, "database_url": database_url})) as address:
        scored = httpx2.post(f"{address}/score", json=body, timeout=HANGS, verify=NO_TLS)
        invalid = httpx2.post(f"{address}/score", json=body | {CANARY: CANARY}, timeout=HANGS, verify=NO_TLS)
        sql("ALTER TABLE predictions RENAME TO gone")
        failed = httpx2.post(f"{address}/score", json=body, timeout=HANGS, verify=NO_TLS)

    assert [reply.status_code for reply in (scored, invalid, failed)] == [200, 422, 503]
    assert "canary" not in invalid.text + failed.text
    assert '"POST /score HTTP/1.1" 503' in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: " + b"9" * 5000 + b"\r\n",
        b"Content-Length: 99999999\r\n",
        b"Content-Length: 2\r\nContent-Type: application/json\r\nHost: [::1\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n",
    ],
)
@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_malformed_head_makes_no_5xx_on_a_real_server(models: Path, database_url: str, head: bytes) -> None:
    with listening(Settings.model_validate({"models_dir": models, "database_url": database_url})) as address:
        host, _, port = address.rpartition("/")[2].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=HANGS) as connection:
            connection.sendall(b"POST /score HTTP/1.1\r\nConnection: close\r\n" + head + b"\r\n{}")
            connection.shutdown(socket.SHUT_WR)
            reply = b"".join(iter(lambda: connection.recv(65536), b""))

    assert not reply or reply.startswith(b"HTTP/1.1 4")


def test_kill_under_load_loses_no_acknowledged_score(models: Path, database_url: str, logged: Logged) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"SCORELET_MODELS_DIR": str(models), "SCORELET_DATABASE_URL": database_url}
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    address, acknowledged = f"http://127.0.0.1:{port}", []

    def send_until_it_dies(_: int) -> None:
        with httpx2.Client(base_url=address, timeout=HANGS, verify=NO_TLS) as client:
            while True:
                try:
                    reply = client.post("/score", json={"item_id": "heat-1", "response": "warm air"})
                except httpx2.TransportError:
                    return
                acknowledged.append(reply.json()["prediction_id"])

    try:
        wait_for(address, server)
        with ThreadPoolExecutor(8) as pool:
            sending = [pool.submit(send_until_it_dies, number) for number in range(8)]
            while len(acknowledged) < 100 and not any(each.done() for each in sending):
                time.sleep(0.01)
            server.send_signal(signal.SIGKILL)
            for each in sending:
                each.result()
    finally:
        server.kill()
        server.wait()

    assert len(acknowledged) >= 100
    assert set(acknowledged) <= {row.prediction_id for row in logged()}


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            httpx2.get(f"{address}/livez", verify=NO_TLS)
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the service did not start")
