"""SIGTERM under load: each accepted request is answered and committed, and nothing else is committed."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text

from app.storage.database import connect
from tests.programs import NO_TLS, run, serving
from tests.tiny import write_tiny_bundle
from tests.waiting import HANGS, until

BODY = {"item_id": "heat-1", "response": "warm air"}


@pytest.mark.parametrize("workers", [1, 2])
def test_accepted_requests_are_answered_and_committed_at_shutdown(tmp_path: Path, workers: int) -> None:
    write_tiny_bundle(tmp_path / "models")
    url = f"sqlite:///{tmp_path / 'log.db'}"
    settings = {"SCORELET_MODELS_DIR": tmp_path / "models", "SCORELET_DATABASE_URL": url, "SCORELET_WORKERS": workers}
    assert run("scorelet", "db", "upgrade", **settings).returncode == 0  # type: ignore[arg-type]
    replied: list[str] = []
    refused: list[str] = []

    with serving(**settings) as (process, address), ThreadPoolExecutor(16) as pool:  # type: ignore[arg-type]
        asking = [pool.submit(ask_until_it_ends, address, replied, refused) for _ in range(16)]
        until(lambda: len(replied) >= 200 or any(caller.done() for caller in asking))
        process.send_signal(signal.SIGTERM)
        for caller in asking:
            caller.result()
        process.wait(timeout=HANGS)

    assert len(replied) >= 200
    assert refused == []
    assert logged(url) == sorted(replied)


def ask_until_it_ends(address: str, replied: list[str], refused: list[str]) -> None:
    """Send requests until the service no longer answers."""
    with httpx2.Client(trust_env=False, timeout=HANGS, verify=NO_TLS) as client:
        while True:
            try:
                reply = client.post(f"{address}/score", json=BODY)
            except httpx2.TransportError:
                return
            if reply.status_code != 200:
                refused.append(reply.text)
                return
            replied.append(reply.json()["prediction_id"])


def logged(url: str) -> list[str]:
    engine = connect(url)
    with engine.connect() as connection:
        rows = [row[0] for row in connection.execute(text("SELECT prediction_id FROM predictions ORDER BY 1"))]
    engine.dispose()
    return rows
