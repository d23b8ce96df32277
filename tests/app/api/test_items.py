from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.scoring.gate import Policy
from app.scoring.live_version import activate
from tests.app.api.assertions import assert_problem, body
from tests.app.conftest import ITEMS, Serve
from tests.tiny import AGREEMENT, GRADE_AGREEMENT, write_tiny_bundle


def test_items_are_listed_by_id(client: TestClient) -> None:
    listed = client.get("/items").json()["items"]

    assert [item["item_id"] for item in listed] == sorted(ITEMS)


def test_item_shows_its_bundle_and_agreement(client: TestClient) -> None:
    item = client.get("/items/heat-1").json()

    assert item.pop("released_at").endswith("Z")
    assert item.pop("gate")["passed"] is True
    assert item == {
        "item_id": "heat-1",
        "title": None,
        "prompt": "Why does heat rise?",
        "scale": "points",
        "min_score": None,
        "max_score": 3,
        "labels": None,
        "better": "higher",
        "format": "html",
        "bundle_version": "20260101T000000Z-00000001",
        "mode": "auto",
        "released_by": "a test",
        "release_reason": "to test",
        "blank_is_worst": None,
        "overridden": False,
        "fallback": None,
        "threshold": 0.8,
        "agreement": AGREEMENT.model_dump(),
        "feedback": None,
        "coverage": 0.9,
        "chosen_on": None,
        "parameters": 1,
    }


@pytest.mark.parametrize(
    ("item_id", "name", "value"),
    [
        ("plants-2", "labels", ["missing", "partial", "complete"]),
        ("plants-2", "scale", "ordinal"),
        ("belief-3", "scale", "nominal"),
        ("belief-3", "max_score", None),
        ("shade-6", "scale", "continuous"),
        ("shade-6", "min_score", 1),
        ("shade-6", "max_score", 6),
        ("shade-6", "coverage", 0.9),
        ("shade-6", "agreement", GRADE_AGREEMENT.model_dump()),
        ("tides-4", "mode", "suggest"),
        ("tides-4", "overridden", False),
        ("moon-5", "threshold", 0.99),
    ],
)
def test_items_show_their_scale_mode_and_threshold(client: TestClient, item_id: str, name: str, value: object) -> None:
    assert client.get(f"/items/{item_id}").json()[name] == value


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("asap-99", "unknown-item"),
        ("_teachers", "unknown-item"),
        ("..%5C..%5Cetc", "unknown-item"),
        ("%2e%2e", "unknown-item"),
        ("heat-1%00", "unknown-item"),
        ("heat-1%0a", "unknown-item"),
        ("%ff%fe", "unknown-item"),
        ("%ed%a0%80", "unknown-item"),  # a lone surrogate in UTF-8
        ("a" * 10_000, "unknown-item"),
        ("%2e%2e%2f%2e%2e%2fetc%2fpasswd", "not-found"),  # a slash, encoded or not, is another route
        ("%2fetc%2fpasswd", "not-found"),
        ("/etc/passwd", "not-found"),
        ("heat-1%2f20260101T000000Z-00000001", "not-found"),
    ],
)
def test_unknown_item_is_not_found(client: TestClient, path: str, kind: str) -> None:
    assert_problem(client.get(f"/items/{path}"), 404, kind)


def test_refused_item_is_not_listed_and_says_why(models: Path, serve: Serve) -> None:
    [card] = (models / "heat-1").rglob("card.md")
    card.write_text("# Another card\n")

    client = serve()

    assert [item["item_id"] for item in client.get("/items").json()["items"]] == sorted(ITEMS)[:1] + sorted(ITEMS)[2:]
    problem = assert_problem(client.get("/items/heat-1"), 503, "item-not-ready")
    assert "card.md" in problem["detail"]


def rules(gate: Any) -> dict[str, tuple[object, object, bool]]:
    return {check["rule"]: (check["measured"], check["limit"], check["passed"]) for check in gate["checks"]}


def test_passed_gate_is_shown_rule_by_rule(client: TestClient) -> None:
    gate = client.get("/items/heat-1").json()["gate"]

    assert gate["passed"] is True
    assert rules(gate) == {
        "marked responses": (40, 40, True),
        "QWK": (0.9, 0.7, True),
        "QWK below raters'": (0.05, 0.1, True),
        "standardised mean difference": (0.01, 0.15, True),
        "difference of groups": (None, None, True),
        "calibration error": (0.02, 0.1, True),
        "junk accepted": (0, 0.05, True),
        "over-long responses": (0, 0.05, True),
        "threshold": (0.8, None, True),
    }
    assert [check["rule"] for check in gate["checks"] if check["note"]] == ["difference of groups"]


def test_override_shows_its_author_and_reason(models: Path, serve: Serve) -> None:
    folder = write_tiny_bundle(models, "rain-7", mode="suggest", policy=Policy(min_responses=1000))
    activate(folder.parent, folder.name, mode="auto", by="Ana", reason="read 50 of its scores")
    client = serve()

    item = client.get("/items/rain-7").json()

    assert (item["mode"], item["overridden"]) == ("auto", True)
    assert (item["released_by"], item["release_reason"]) == ("Ana", "read 50 of its scores")
    assert item["gate"]["passed"] is False
    assert rules(item["gate"])["marked responses"] == (40, 1000, False)
    assert client.post("/score", json=body(item_id="rain-7")).json()["decision"] == "auto"


def test_item_with_a_failed_gate_is_in_mode_suggest(models: Path, serve: Serve) -> None:
    folder = write_tiny_bundle(models, "rain-7", mode="suggest", policy=Policy(min_responses=1000))
    activate(folder.parent, folder.name, by="scorelet-train", reason="newly trained")
    client = serve()

    item = client.get("/items/rain-7").json()

    assert (item["mode"], item["overridden"], item["gate"]["passed"]) == ("suggest", False, False)
    assert client.post("/score", json=body(item_id="rain-7")).json()["decision"] == "review"


def test_invalid_active_file_takes_its_item_out_of_service(models: Path, serve: Serve) -> None:
    folder = write_tiny_bundle(models, "rain-7", mode="suggest", policy=Policy(min_responses=1000))
    active = folder.parent / "ACTIVE"
    active.write_text(active.read_text().replace('"mode": "suggest"', '"mode": "auto"'))
    client = serve()

    problem = assert_problem(client.get("/items/rain-7"), 503, "item-not-ready")

    assert "ACTIVE" in problem["detail"]
