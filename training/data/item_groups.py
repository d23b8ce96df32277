"""Which items share a teacher.  An item with few marked responses learns from those of the others."""

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
    """Items with one teacher.  They have the same scores or labels, or all have grades."""

    members: tuple[ItemData, ...]

    @property
    def name(self) -> str:
        first = self.members[0].item.item_id
        return first if len(self.members) == 1 else f"{first} and {len(self.members) - 1} more"

    def context(self, item: Item) -> str:
        """What the teacher reads before a response: nothing if it knows one item only."""
        return "" if len(self.members) == 1 else " ".join([item.prompt, *item.references])

    def data_sha256(self, data: ItemData) -> str:
        """Of all rows that decide what becomes of one member."""
        if len(self.members) == 1:
            return data.sha256
        return key_of(data.sha256, [member.sha256 for member in self.members])

    def examples(self, item: Item, rows: Sequence[MarkedResponse]) -> list[Example]:
        values = targets(item, [row.value for row in rows]).tolist()
        return [Example(self.context(item), row.text, value) for row, value in zip(rows, values, strict=True)]


def groups(items: Sequence[ItemData], own_from: int) -> list[Group]:
    """Every item in one group, in the items' order.  `own_from`: marked responses from which an item stands alone."""
    sharing: dict[object, list[ItemData]] = defaultdict(list)
    for data in items:
        item = data.item
        # Ranges may differ: a teacher gives indices of scores, and shares of a range of grades.
        scale = (item.scale, item.labels, item.choices, item.better)
        sharing[item.item_id if len(data.train) >= own_from else scale].append(data)
    return [Group(tuple(members)) for members in sharing.values()]
