"""Assertions and bodies that tests of several routes share."""

from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

CANARY = "the canary sings of convection"  # a response that may appear in the log's row only
BOTH = pytest.mark.parametrize("dialect", ["sqlite", "postgresql"], indirect=True)


def body(**changes: Any) -> dict[str, Any]:
    return {"item_id": "heat-1", "response": CANARY} | changes


def read_prediction(client: TestClient, reply: dict[str, Any]) -> dict[str, Any]:
    """Return the prediction of a reply as GET /predictions/{id} shows it."""
    prediction: dict[str, Any] = client.get(f"/predictions/{reply['prediction_id']}").json()
    return prediction


def assert_problem(reply: Response, status: int, kind: str, code: str = "") -> dict[str, Any]:
    """Assert that a reply is a problem of this kind (and code) without a word of the response; return the problem."""
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = reply.json()
    assert problem["type"] == f"urn:scorelet:problem:{kind}"
    assert problem["status"] == status
    assert problem["code"] == (code or problem["code"]) != ""
    assert problem["title"]
    assert problem["detail"]
    assert "canary" not in reply.text
    return problem
