"""GET /metrics: the service's counters and gauges, for Prometheus."""

from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app.api.auth import MetricsCaller
from app.api.problems import documented
from app.api.state import StateDep

router = APIRouter(tags=["probes"])
EXAMPLE = 'scorelet_decisions_total{item="demo-drying-towel",decision="review",scored_by="student"} 12.0\n'
TEXT: dict[str, Any] = {"content": {"text/plain": {"schema": {"type": "string"}, "example": EXAMPLE}}}


@router.get(
    "/metrics",
    summary="Read metrics",
    response_description="Metrics in the text format of Prometheus.",
    response_class=Response,
    responses={**documented(401, 403, 503), 200: TEXT},
)
async def metrics(_: MetricsCaller, state: StateDep) -> Response:
    """Return counts of requests, decisions, conditions, fall-back, queues and commits for Prometheus."""
    return Response(state["metrics"].text(), media_type=CONTENT_TYPE_LATEST)
