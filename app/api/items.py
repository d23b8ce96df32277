"""Route GET /items and GET /items/{item_id}."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.api.auth import ReadingCaller
from app.api.item_schemas import ItemReply, ItemsReply
from app.api.problems import documented
from app.api.state import State, StateDep
from app.scoring.decision import LiveItem

router = APIRouter(tags=["items"])


@router.get(
    "/items",
    summary="List all items",
    response_description="The items.",
    responses=documented(401, 403, 503),
)
async def items(_: ReadingCaller, state: StateDep) -> ItemsReply:
    """List all items that can be scored, with bundle version, mode, agreement and threshold.

    Items whose bundle was refused are on `/readyz`.
    """
    live = state["registry"].live
    return ItemsReply(items=[_reply(live[item_id], state) for item_id in sorted(live)])


@router.get(
    "/items/{item_id}",
    summary="Read an item",
    response_description="The item.",
    responses=documented(401, 403, 404, 422, 503),
)
async def item(
    item_id: Annotated[str, Path(description="The item's id.")], _: ReadingCaller, state: StateDep
) -> ItemReply:
    """Read one item, with bundle version, mode, agreement and threshold."""
    return _reply(state["registry"].get(item_id), state)


def _reply(live: LiveItem, state: State) -> ItemReply:
    return ItemReply.of(live, has_model=state["model_pool"].writer_for(live.bundle) is not None)
