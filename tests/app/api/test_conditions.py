"""Conditions and flags in replies, equal through every door."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from app.cli.main import cli
from app.scoring.conditions import Limits
from tests.app.api.assertions import BOTH, read_prediction
from tests.app.conftest import Serve
from tests.tiny import write_tiny_bundle

LIMITS = Limits(refusals=("idk",), repetition=0.5, copied=0.9)
PROMPT = "Warm air goes up and cold air sinks because warm air is lighter. Why?"
CASES: dict[str, tuple[str | None, list[str], str]] = {
    "warm air": (None, [], "auto"),
    "IDK!": ("refusal", [], "not_scorable"),
    "warm air warm air warm air warm air warm air": ("repetition", [], "not_scorable"),
    "warm air goes up and cold air sinks because warm air is lighter": (None, ["copied"], "review"),
    " ".join(f"word{n}" for n in range(70)): ("repetition", [], "not_scorable"),  # equal to the tiny tokenizer
    "": ("blank", [], "not_scorable"),
}


@pytest.fixture
def client(models: Path, serve: Serve) -> TestClient:
    write_tiny_bundle(models, "rain-7", item={"prompt": PROMPT, "scale": "points", "max_score": 3}, limits=LIMITS)
    return serve()


def decided(reply: dict[str, Any]) -> tuple[str | None, list[str], str]:
    return reply["condition"], reply["flags"], reply["decision"]


@BOTH
def test_every_condition_and_flag_is_returned_and_logged(client: TestClient) -> None:
    for response, wanted in CASES.items():
        reply = client.post("/score", json={"item_id": "rain-7", "response": response}).json()

        assert decided(reply) == wanted, response
        assert (reply["score"] is None) == (wanted[0] is not None)
        assert reply["scored_by"] == ("rule" if wanted[0] else "student")
        assert decided(read_prediction(client, reply)) == wanted


def test_conditions_are_equal_through_http_and_command_line(client: TestClient, models: Path, tmp_path: Path) -> None:
    rows = [{"item_id": "rain-7", "response": response} for response in CASES]
    batch = client.post("/score/batch", json={"responses": rows}).json()["results"]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = ["score", tmp_path / "rows.jsonl", "--out", tmp_path / "out.csv", "--models", models]

    done = CliRunner().invoke(cli, list(map(str, arguments)))

    assert done.exception is None
    assert [decided(reply) for reply in batch] == list(CASES.values())
    with (tmp_path / "out.csv").open(newline="") as file:
        table = [(row["condition"] or None, row["decision"]) for row in csv.DictReader(file)]
    assert table == [(condition, decision) for condition, _, decision in CASES.values()]
