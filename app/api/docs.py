"""GET /docs and /redoc from files beside this module: they work with no internet."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from app.api.examples import EXAMPLES
from app.api.fast_route import components
from app.api.schemas import BatchRequest, ReviewRequest, ScoreRequest

FILES = Path(__file__).with_name("static")  # its README says where they come from
# The browser is told to ask nobody but us, whatever the pages' scripts may come to want.
POLICY = (
    "default-src 'none'; connect-src 'self'; script-src 'self' 'unsafe-inline'; worker-src blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:"
)
STATIC = "/static"
router = APIRouter(include_in_schema=False)


def mount(app: FastAPI) -> None:
    app.mount(STATIC, StaticFiles(directory=FILES), name="static")
    app.include_router(router)
    described = app.openapi

    def completed() -> dict[str, Any]:
        """With what FastAPI cannot know of direct routes, and examples: it drops every null from its document."""
        document = described()
        document["components"]["schemas"] |= components(ScoreRequest, BatchRequest, ReviewRequest)
        for model, example in EXAMPLES.items():
            document["components"]["schemas"][model.__name__]["examples"] = [example]
        return document

    app.openapi = completed  # type: ignore[method-assign]  # FastAPI's own way to extend it


@router.get("/")
async def start() -> RedirectResponse:
    """Whoever opens the service's address in a browser sees what it can do."""
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
