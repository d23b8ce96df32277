"""Groups of items that share a teacher, so that items with few marked responses learn from each other."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from app.scoring.item import Item
from training.common.cache import key_of
from training.data import ItemData
from training.data.responses import MarkedResponse
from training.data.targets import Example, targets


@dataclass(frozen=True, slots=True)
class Group:
    """Items with one teacher: all have the same scores or labels, or all have grades."""

    members: tuple[ItemData, ...]

    @property
    def name(self) -> str:
        """Return a name for messages."""
        first, other_count = self.members[0].item.item_id, len(self.members) - 1
        return f"{first} and {other_count} more" if other_count else first

    def context(self, item: Item) -> str:
        """Return the text that the teacher reads before a response: nothing if it knows one item only."""
        return "" if len(self.members) == 1 else " ".join([item.prompt, *item.references])

    def data_sha256(self, data: ItemData) -> str:
        """Return a hash of all rows that the bundle of one member depends on."""
        if len(self.members) == 1:
            return data.sha256
        return key_of(data.sha256, [member.sha256 for member in self.members])

    def examples(self, item: Item, rows: Sequence[MarkedResponse]) -> list[Example]:
        """Return the item's rows as a teacher learns them."""
        values = targets(item, [row.value for row in rows]).tolist()
        context = self.context(item)
        return [Example(context, row.text, value) for row, value in zip(rows, values, strict=True)]


def groups(items: Sequence[ItemData], own_from: int) -> list[Group]:
    """Return the groups of the items, in their order.

    An item with `own_from` marked responses or more has a teacher of its own.
    """
    sharing: dict[object, list[ItemData]] = defaultdict(list)
    for data in items:
        item = data.item
        # Ranges may differ: a teacher gives indices of scores, and shares of a range of grades.
        scale = (item.scale, item.labels, item.choices, item.better)
        stands_alone = len(data.train) >= own_from
        sharing[item.item_id if stands_alone else scale].append(data)
    return [Group(tuple(members)) for members in sharing.values()]
