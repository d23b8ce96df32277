"""Serve GET /docs and /redoc from files beside this module, so that they work without internet."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from app.api.examples import EXAMPLES
from app.api.fast_route import components
from app.api.schemas import BatchRequest, ReviewRequest, ScoreRequest

FILES = Path(__file__).with_name("static")  # README.md there names their sources
# The policy confines the pages' scripts to this host.
POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self' 'unsafe-inline'; worker-src blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:"
)
STATIC = "/static"
TAGS = {
    "score": "Score responses. Needs the scope `score`.",
    "items": "List the items that can be scored. Needs the scope `score` or `review`.",
    "predictions": "Read the log of predictions and record human marks. Needs the scope `review`; the scope `score` "
    "reads a key's own predictions by id.",
    "probes": "Check and monitor the service. `/metrics` needs the scope `metrics`, and the others need no key.",
}
router = APIRouter(include_in_schema=False)


def mount(app: FastAPI) -> None:
    """Add the documentation's routes, and complete the OpenAPI document."""
    app.mount(STATIC, StaticFiles(directory=FILES), name="static")
    app.include_router(router)
    generate = app.openapi

    def complete() -> dict[str, Any]:
        """Add tags, the bodies of fast routes, and examples, from which FastAPI would drop every null."""
        document = generate()
        document["tags"] = [{"name": name, "description": description} for name, description in TAGS.items()]
        schemas = document["components"]["schemas"]
        schemas |= components(ScoreRequest, BatchRequest, ReviewRequest)
        for model, example in EXAMPLES.items():
            schemas[model.__name__]["examples"] = [example]
        return document

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


@router.get("/")
async def start() -> RedirectResponse:
    """Redirect a browser to the documentation."""
    return RedirectResponse("/docs")


@router.get("/docs")
async def swagger() -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="scorelet",
        swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{STATIC}/favicon-32x32.png",
        swagger_ui_parameters={"validatorUrl": None},
    )
    return _confined(page)


@router.get("/redoc")
async def redoc() -> HTMLResponse:
    page = get_redoc_html(
        openapi_url="/openapi.json",
        title="scorelet",
        redoc_js_url=f"{STATIC}/redoc.standalone.js",
        redoc_favicon_url=f"{STATIC}/favicon-32x32.png",
        with_google_fonts=False,
    )
    return _confined(page)


def _confined(page: HTMLResponse) -> HTMLResponse:
    page.headers["Content-Security-Policy"] = POLICY
    return page
