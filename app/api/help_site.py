"""Serve GET /help from static pages, which `make docs` and the image build put beside this module."""

import os
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import Scope

PAGES = Path(__file__).with_name("help_pages")
# No inline script and no other host.  Furo's icons carry inline styles.
POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
ABSENT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>scorelet: help</title></head><body>
<h1>The help pages are not built</h1>
<p>This installation of scorelet has no help pages. Run <code>make docs</code> in the project's folder and start the
service again. The same pages are Markdown files in the folder <code>docs</code>, beginning with
<code>docs/index.md</code>.</p>
<p><a href="/docs">The calls of the service</a> are described without them.</p>
</body></html>
"""


class HelpPages(StaticFiles):
    """Static files with a policy of their own."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return a file with the policy of the help pages."""
        reply = super().file_response(full_path, stat_result, scope, status_code)
        reply.headers["Content-Security-Policy"] = POLICY
        return reply


def mount(app: FastAPI, pages: Path = PAGES) -> None:
    """Serve the help pages, or a page with the command that builds them."""
    if (pages / "index.html").is_file():
        app.mount("/help", HelpPages(directory=pages, html=True), name="help")
        return
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/help", absent)
    router.add_api_route("/help/", absent)
    app.include_router(router)


async def absent() -> HTMLResponse:
    """Return the page of an installation without help pages."""
    return HTMLResponse(ABSENT, 404, headers={"Content-Security-Policy": POLICY})
