"""What tests of several routes claim, and what they all send."""

from typing import Any

import pytest
from httpx2 import Response

CANARY = "the canary sings of convection"  # a response that must turn up nowhere but in a reply's row
BOTH = pytest.mark.parametrize("dialect", ["sqlite", "postgresql"], indirect=True)


def body(**changes: Any) -> dict[str, Any]:
    return {"item_id": "heat-1", "response": CANARY} | changes


def assert_problem(reply: Response, status: int, kind: str, code: str = "") -> dict[str, Any]:
    """Claim that a reply is a problem of this kind, and code if given, without a word of the response; return it."""
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
