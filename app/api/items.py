"""GET /items and /items/{item_id}."""

from fastapi import APIRouter

from app.api.access import ScoreCaller
from app.api.bodies import ItemReply, ItemsReply
from app.api.problems import documented
from app.api.state import StateDep

router = APIRouter(tags=["items"])


@router.get("/items", responses=documented(401, 403, 503))
async def items(_: ScoreCaller, state: StateDep) -> ItemsReply:
    """All items that can be scored, with version, mode, agreement and threshold."""
    live = state["registry"].live
    return ItemsReply(items=[ItemReply.of(live[item_id]) for item_id in sorted(live)])


@router.get("/items/{item_id}", responses=documented(401, 403, 404, 422, 503))
async def item(item_id: str, _: ScoreCaller, state: StateDep) -> ItemReply:
    """One item."""
    return ItemReply.of(state["registry"].get(item_id))
