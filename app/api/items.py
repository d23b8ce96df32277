"""GET /items and /items/{item_id}."""

from fastapi import APIRouter

from app.api.auth import ReadingCaller
from app.api.problems import documented
from app.api.schemas import ItemReply, ItemsReply
from app.api.state import State, StateDep
from app.scoring.decision import LiveItem

router = APIRouter(tags=["items"])


@router.get("/items", responses=documented(401, 403, 503))
async def items(_: ReadingCaller, state: StateDep) -> ItemsReply:
    """All items that can be scored, with version, mode, agreement and threshold."""
    live = dict(state["registry"].live)  # as it is now: bundles may be taken up meanwhile
    return ItemsReply(items=[_reply(live[item_id], state) for item_id in sorted(live)])


@router.get("/items/{item_id}", responses=documented(401, 403, 404, 422, 503))
async def item(item_id: str, _: ReadingCaller, state: StateDep) -> ItemReply:
    """One item."""
    return _reply(state["registry"].get(item_id), state)


def _reply(live: LiveItem, state: State) -> ItemReply:
    return ItemReply.of(live, has_model=state["scorer"].desk.writer_for(live.bundle) is not None)
