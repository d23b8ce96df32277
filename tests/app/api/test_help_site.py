"""The help pages at /help, built once as `make docs` builds them."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.api import help_site, problems
from tests.app.api.assertions import assert_problem
from tests.help_site import Page, build


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    return build(folder / "pages", folder / "doctrees")


def serving(pages: Path) -> Iterator[TestClient]:
    app = FastAPI()
    problems.install(app)
    help_site.mount(app, pages)
    with TestClient(app) as client:
        yield client


@pytest.fixture
def helping(site: Path) -> Iterator[TestClient]:
    yield from serving(site)


@pytest.fixture
def helpless(tmp_path: Path) -> Iterator[TestClient]:
    yield from serving(tmp_path / "none")


def pages_of(site: Path) -> dict[Path, Page]:
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    assert len(pages) > 10
    return pages


def test_every_link_leads_to_a_page_and_a_heading_of_the_site(site: Path) -> None:
    pages = pages_of(site)

    for path, page in pages.items():
        for address in page.addresses:
            parts = urlsplit(address)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert (parts.scheme, parts.netloc) == ("", ""), (path, address)
            assert target.is_file(), (path, address)
            assert not parts.fragment or target not in pages or parts.fragment in pages[target].anchors, (path, address)


def test_no_page_has_an_inline_script(site: Path) -> None:
    inline = {path.name: page.inline for path, page in pages_of(site).items() if page.inline}

    assert inline == {}


@pytest.mark.parametrize("path", ["/help", "/help/", "/help/index.html", "/help/search.html", "/help/searchindex.js"])
def test_help_is_served_under_a_strict_policy(helping: TestClient, path: str) -> None:
    reply = helping.get(path)

    policy = dict(part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";"))
    assert reply.status_code == 200
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert "http" not in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    ["..%2fdocs.py", "%2e%2e/docs.py", "..%2f..%2fsettings.py", "%2fetc%2fpasswd", "..%5cdocs.py", "%00", "a" * 5_000],
)
def test_no_file_outside_the_help_pages_is_served(helping: TestClient, path: str) -> None:
    assert_problem(helping.get(f"/help/{path}"), 404, "not-found")


@pytest.mark.parametrize("path", ["/help", "/help/"])
def test_missing_pages_are_explained(helpless: TestClient, path: str) -> None:
    reply = helpless.get(path)

    assert reply.status_code == 404
    assert "make docs" in reply.text
    assert reply.headers["content-type"].startswith("text/html")


def test_help_is_no_call_of_the_service(client: TestClient) -> None:
    assert [path for path in client.get("/openapi.json").json()["paths"] if path.startswith("/help")] == []
