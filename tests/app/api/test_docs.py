import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from pydantic import BaseModel
from starlette.testclient import TestClient

from app.api.docs import FILES
from app.api.schemas import BatchRequest, ScoreRequest
from tests.app.api.assertions import assert_problem

ELSEWHERE = re.compile(r"""(?:https?:)?//[a-z0-9-]""", re.IGNORECASE)
PROBLEM = "application/problem+json"
CALLS = {
    ("post", "/score"): {"400", "401", "403", "404", "409", "413", "415", "422", "503"},
    ("post", "/score/batch"): {"400", "401", "403", "409", "413", "415", "422", "503"},
    ("post", "/predictions/{prediction_id}/review"): {"400", "401", "403", "404", "413", "415", "422", "503"},
    ("get", "/items"): {"401", "403", "503"},
    ("get", "/items/{item_id}"): {"401", "403", "404", "503"},
    ("get", "/predictions"): {"401", "403", "422", "503"},
    ("get", "/predictions/{prediction_id}"): {"401", "403", "404", "422", "503"},
    ("get", "/livez"): set(),
    ("get", "/readyz"): set(),
}
REQUESTS: dict[str, type[BaseModel]] = {"/score": ScoreRequest, "/score/batch": BatchRequest}


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        component: dict[str, Any] = document["components"]["schemas"][name]
        return component
    return schema


def examples(document: dict[str, Any], content: dict[str, Any]) -> list[Any]:
    """Return the examples of a body, from any of the places that OpenAPI allows."""
    if "example" in content:
        return [content["example"]]
    if "examples" in content:
        return [example["value"] for example in content["examples"].values()]
    shown: list[Any] = resolved(document, content["schema"]).get("examples", [])
    return shown


def check(document: dict[str, Any], content: dict[str, Any], example: object) -> None:
    Draft202012Validator({"components": document["components"], **content["schema"]}).validate(example)


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_documentation_needs_no_internet(client: TestClient, path: str) -> None:
    page = client.get(path)

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert ELSEWHERE.findall(page.text) == []
    links = re.findall(r"""(?:src|href|spec-url)=["']([^"']+)["']|url: '([^']+)'""", page.text)
    addresses = [attribute or script for attribute, script in links]
    assert "/openapi.json" in addresses
    assert len(addresses) >= 3
    for address in addresses:
        file = client.get(address)
        assert file.status_code == 200, address
        assert len(file.content) > 100, address


@pytest.mark.parametrize(
    "path",
    ["..%2fdocs.py", "%2e%2e/docs.py", "..%2f..%2fsettings.py", "%2fetc%2fpasswd", "..%5cdocs.py", "%00", "a" * 5_000],
)
def test_only_static_files_are_served(client: TestClient, path: str) -> None:
    assert_problem(client.get(f"/static/{path}"), 404, "not-found")


def test_every_route_documents_its_problems(document: dict[str, Any]) -> None:
    documented = {
        (method, path): {status for status, reply in operation["responses"].items() if PROBLEM in reply["content"]}
        for method, path, operation in operations(document)
    }

    assert documented.keys() >= CALLS.keys()
    missing = {call: problems - documented[call] for call, problems in CALLS.items() if problems - documented[call]}
    assert missing == {}


@pytest.mark.parametrize("model", ["ScoreRequest", "ReviewRequest"])
@pytest.mark.parametrize("value", ["warm\0air", "\0"])
def test_nul_is_documented_as_refused(document: dict[str, Any], model: str, value: str) -> None:
    component = document["components"]["schemas"][model]
    good = component["examples"][0]
    schema = {"schema": {"$ref": f"#/components/schemas/{model}"}}
    texts = {"response", "learner_id", "attempt_id", "reviewer", "reason"}
    for field in texts & component["properties"].keys():
        check(document, schema, good | {field: "warm\nair"})
        with pytest.raises(ValidationError):
            check(document, schema, good | {field: value})


def test_blank_reviewer_is_documented_as_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        check(document, {"schema": {"$ref": "#/components/schemas/ReviewRequest"}}, {"reviewer": " \n", "score": 1})


def test_documented_problems_have_the_problem_schema_only(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for status, reply in operation["responses"].items():
            if status >= "400" and path != "/readyz":
                assert list(reply["content"]) == [PROBLEM], (method, path, status)
                assert reply["content"][PROBLEM]["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert examples(document, reply["content"][PROBLEM])


def test_every_route_has_examples_that_fit_their_schemas(document: dict[str, Any]) -> None:
    without = []
    for method, path, operation in operations(document):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        good = [reply for status, reply in operation["responses"].items() if status < "300"]
        assert good, (method, path)
        for body in [*bodies, *good]:
            [content] = body["content"].values()
            body_examples = examples(document, content)
            for example in body_examples:
                check(document, content, example)
            if not body_examples:
                without.append((method, path))

    assert without == []


def test_every_field_has_a_description(document: dict[str, Any]) -> None:
    undescribed = [
        f"{name}.{field}"
        for name, component in document["components"]["schemas"].items()
        for field, schema in component.get("properties", {}).items()
        if not schema.get("description")
    ]

    assert undescribed == []


@pytest.mark.parametrize("path", ["/score", "/score/batch"])
def test_documented_request_is_accepted(client: TestClient, document: dict[str, Any], path: str) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]
    [example] = examples(document, content["application/json"])

    accepted = REQUESTS[path].model_validate(example)
    reply = client.post(path, json=example)

    assert accepted.model_dump(exclude_unset=True) == example
    assert reply.status_code == (404 if path == "/score" else 200)  # no tiny bundle has the demo's item


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("post", "/score", {"item_id": "heat-1", "response": "warm air", "gradebook_max": 10}),
        ("post", "/score", {"item_id": "heat-1", "response": ""}),
        ("post", "/score", {"item_id": "belief-3", "response": "heat"}),
        ("post", "/score", {"item_id": "shade-6", "response": "warm air", "gradebook_max": 10}),
        ("post", "/score/batch", {"responses": [{"item_id": "heat-1", "response": "warm"}, {"item_id": "asap-99"}]}),
        ("get", "/items", None),
        ("get", "/items/{item_id}", None),
        ("get", "/predictions", None),
        ("get", "/livez", None),
        ("get", "/readyz", None),
    ],
)
def test_replies_fit_their_documented_schemas(
    client: TestClient, document: dict[str, Any], method: str, path: str, sent: object
) -> None:
    for item_id in ("heat-1", "shade-6"):
        client.post("/score", json={"item_id": item_id, "response": "warm air"})

    reply = client.request(method, path.format(item_id="plants-2"), json=sent)

    assert reply.status_code == 200
    content = document["paths"][path][method]["responses"]["200"]["content"]
    check(document, content["application/json"], reply.json())


def test_every_route_but_probes_documents_its_key(document: dict[str, Any]) -> None:
    keyless = {path for _, path, operation in operations(document) if "security" not in operation}

    assert keyless == {"/livez", "/readyz"}


def test_scripts_of_the_documentation_name_no_other_host() -> None:
    scripts = b"".join(path.read_bytes() for path in FILES.glob("*.js"))

    assert b"cdn." not in scripts
    assert b"fonts.googleapis" not in scripts


def test_root_redirects_to_the_documentation(client: TestClient) -> None:
    reply = client.get("/")

    assert (reply.status_code, reply.url.path) == (200, "/docs")
    assert "swagger-ui" in reply.text
