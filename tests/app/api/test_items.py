from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.app.api.claims import assert_problem
from tests.app.conftest import ITEMS, Serve
from tests.tiny import AGREEMENT, GRADE_AGREEMENT


def test_every_item_is_listed_by_id(client: TestClient) -> None:
    listed = client.get("/items").json()["items"]

    assert [item["item_id"] for item in listed] == sorted(ITEMS)


def test_an_item_says_what_scores_it_and_how_well(client: TestClient) -> None:
    item = client.get("/items/heat-1").json()

    assert item.pop("released_at").endswith("Z")
    assert item == {
        "item_id": "heat-1",
        "title": None,
        "prompt": "Why does heat rise?",
        "scale": "points",
        "min_score": None,
        "max_score": 3,
        "labels": None,
        "bundle_version": "20260101T000000Z-00000001",
        "mode": "auto",
        "released_by": "a test",
        "release_reason": "to test",
        "threshold": 0.8,
        "agreement": AGREEMENT.model_dump(),
        "feedback": None,
        "interval_coverage": None,
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
        ("shade-6", "interval_coverage", 0.9),
        ("shade-6", "agreement", GRADE_AGREEMENT.model_dump()),
        ("tides-4", "mode", "suggest"),
        ("moon-5", "threshold", 0.99),
    ],
)
def test_items_differ_in_scale_mode_and_threshold(client: TestClient, item_id: str, name: str, value: object) -> None:
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
        ("%ed%a0%80", "unknown-item"),  # a lone surrogate as UTF-8 would have it
        ("a" * 10_000, "unknown-item"),
        ("%2e%2e%2f%2e%2e%2fetc%2fpasswd", "not-found"),  # a slash, encoded or not, is another route
        ("%2fetc%2fpasswd", "not-found"),
        ("/etc/passwd", "not-found"),
        ("heat-1%2f20260101T000000Z-00000001", "not-found"),
    ],
)
def test_what_is_no_item_is_not_found(client: TestClient, path: str, kind: str) -> None:
    assert_problem(client.get(f"/items/{path}"), 404, kind)


def test_a_refused_item_is_not_listed_and_says_why(models: Path, serve: Serve) -> None:
    [card] = (models / "heat-1").rglob("card.md")
    card.write_text("# Another card\n")

    client = serve()

    assert [item["item_id"] for item in client.get("/items").json()["items"]] == sorted(ITEMS)[:1] + sorted(ITEMS)[2:]
    problem = assert_problem(client.get("/items/heat-1"), 503, "item-not-ready")
    assert "card.md" in problem["detail"]
