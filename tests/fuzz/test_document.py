"""Test a running service against its OpenAPI document with all checks of schemathesis.

The service accepts bodies that the document allows, refuses others, and sends only documented replies.  To see the
number of calls: `pytest tests/fuzz/test_document.py -rP`.
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import ITEMS
from tests.fuzz.cases import TIMES
from tests.programs import BIN, environment, run, serving
from tests.tiny import write_tiny_bundle
from tests.waiting import HANGS

SCOPES = ("--scope", "score", "--scope", "review", "--scope", "metrics")
# Rules that a schema cannot express: a mark must be on the item's scale, and a bad row of a batch gets its own problem.
CONFIGURED = """
[[operations]]
include-name = "POST /score/batch"
checks.negative_data_rejection.expected-statuses = [200, 400, 401, 403, 404, 405, 409, 413, 415, 422]

[[operations]]
include-name = "POST /predictions/{prediction_id}/review"
checks.positive_data_acceptance.expected-statuses = ["2xx", 404, 422]
"""
# An open service needs no key.
OPEN = ("--exclude-checks", "ignored_auth", "--generation-with-security-parameters", "false")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("served")
    for item_id, differs in ITEMS.items():
        write_tiny_bundle(folder / "models", item_id, **differs)
    settings: dict[str, Any] = {
        "SCORELET_MODELS_DIR": folder / "models",
        "SCORELET_DATABASE_URL": f"sqlite:///{folder / 'log.db'}",
    }
    assert run("scorelet", "db", "upgrade", **settings).returncode == 0
    return settings


@pytest.mark.parametrize("keyed", [False, True], ids=["open", "keyed"])  # In this order: a key cannot be deleted.
def test_service_conforms_to_its_openapi_document(settings: dict[str, Any], tmp_path: Path, keyed: bool) -> None:
    key = run("scorelet", "keys", "create", "x", *SCOPES, **settings).stdout.strip() if keyed else ""
    authorized = {"Authorization": f"Bearer {key}"} if keyed else {}
    with serving(**settings) as (process, address):
        predictions = [scored(address, item_id, authorized) for item_id in ITEMS]
        document = json.loads(asked(f"{address}/openapi.json"))
        (tmp_path / "openapi.json").write_text(json.dumps(aimed(document, predictions)))
        done = fuzz(tmp_path, address, authorized)

        assert process.poll() is None
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Test cases:" in done.stdout
    sys.stdout.write(done.stdout)


def fuzz(folder: Path, address: str, headers: dict[str, str]) -> subprocess.CompletedProcess[str]:
    (folder / "schemathesis.toml").write_text(CONFIGURED)
    known = [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")] or OPEN
    phases = "examples,coverage,fuzzing,stateful" if headers or TIMES > 1 else "examples,coverage"
    chance = ("--generation-deterministic",) if TIMES == 1 else ("--generation-database", "none")
    command = [
        *(BIN / "schemathesis", "--config-file", folder / "schemathesis.toml", "run", folder / "openapi.json"),
        *("--url", address, "--checks", "all", "--max-examples", 5 * TIMES, "--phases", phases),
        *("--continue-on-failure", "--no-color", "--request-timeout", HANGS, *chance, *known),
    ]
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def aimed(document: dict[str, Any], predictions: list[str]) -> dict[str, Any]:
    """Return the document with known ids as examples, which random texts would never hit."""
    known = {"item_id": list(ITEMS), "prediction_id": predictions, "cursor": predictions}
    for schema in _schemas(document):
        ids = known[schema["name"]]
        schema["schema"] = {"anyOf": [{"enum": ids}, schema["schema"]]}
    fields = document["components"]["schemas"]["ScoreRequest"]["properties"]
    fields["item_id"] = {"anyOf": [{"enum": list(ITEMS)}, fields["item_id"]]}
    return document


def _schemas(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        for operation in operations.values():
            yield from (
                parameter
                for parameter in operation.get("parameters", ())
                if parameter["name"] in ("item_id", "prediction_id", "cursor")
            )


def scored(address: str, item_id: str, headers: dict[str, str]) -> str:
    body = json.dumps({"item_id": item_id, "response": "warm air"}).encode()
    prediction_id: str = json.loads(asked(f"{address}/score", body, headers))["prediction_id"]
    return prediction_id


def asked(address: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"} | (headers or {}))  # noqa: S310
    with urllib.request.urlopen(request, timeout=HANGS) as reply:  # noqa: S310  # our own address
        content: bytes = reply.read()
    return content
