"""What an event says of a person's interest: a weight by vertical and kind, and the kinds that take interest back.

The default weights order kinds by how much each takes of a person; nobody has measured them. As folding in takes an
item as met or not, today only the sign of an item's sum counts: a kind of weight 0 never makes an item a met one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from feature_store.errors import BadInput

Table: TypeAlias = Mapping[str | None, Mapping[str, float]]

LARGEST_WEIGHT = 1e6  # sums of as many events as anybody can send stay finite
OTHER_KIND = 1.0  # of a kind that no row names, such as the rating of a film

_EVERYWHERE = {"impression": 0.0, "view": 1.0, "click": 1.0, "like": 2.0, "share": 3.0, "rating": 1.0}
DEFAULT_TABLE: Table = MappingProxyType(
    {
        None: {**_EVERYWHERE, "add-to-cart": 3.0, "purchase": 5.0, "read": 2.0, "dwell": 1.0, "follow": 3.0},
        "e-commerce": {**_EVERYWHERE, "add-to-cart": 3.0, "purchase": 5.0},
        "news": {**_EVERYWHERE, "read": 2.0, "dwell": 1.0},
        "social": {**_EVERYWHERE, "dwell": 1.0, "follow": 3.0},
        "ads": {**_EVERYWHERE, "conversion": 5.0},
    }
)
HIDING = frozenset({"hide"})


@dataclass(frozen=True, slots=True)
class EventWeights:
    """The weights of one store.

    >>> weights = EventWeights()
    >>> weights.of("e-commerce", "purchase"), weights.of("ads", "impression"), weights.of(None, "whistle")
    (5.0, 0.0, 1.0)

    table: vertical -> kind of event -> weight, from 0 to 1e6. The row None is that of events without a vertical, and
        of verticals that have no row. A kind that its row does not name weighs 1.
    hiding: the kinds that say "not this": each takes back all that came before it on its item.
    """

    table: Table = field(default_factory=lambda: DEFAULT_TABLE, hash=False)
    hiding: frozenset[str] = HIDING

    def __post_init__(self) -> None:
        for vertical, row in self.table.items():
            for kind, weight in row.items():
                if not 0 <= weight <= LARGEST_WEIGHT:
                    raise BadInput(
                        f"an event weighs from 0 to {LARGEST_WEIGHT:g}; got {weight} for {kind!r} of {vertical!r}"
                    )
                if kind in self.hiding:
                    raise BadInput(f"{kind!r} of {vertical!r} hides an item, and so weighs nothing; got {weight}")

    def of(self, vertical: str | None, kind: str) -> float:
        """What an event of that vertical and kind weighs; nobody asks it of a kind that hides."""
        row = self.table.get(vertical)
        if row is None:
            row = self.table.get(None, {})
        return row.get(kind, OTHER_KIND)
