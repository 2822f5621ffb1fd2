"""Kept masks: which items of an assortment something holds for, worked out once for as long as the assortment stays.

Nearly all requests of a placement ask the same of the same items: its rules, what it shows at all, a few usual filters.
Working that out takes longer than all else that a request does with items, and the answer changes with the catalogue
alone.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

from feature_store.arrays import BoolArray

MOST_BYTES = 16_000_000
"""Of one assortment's masks; one mask is kept however large it is."""


class KeptMasks:
    """Masks by what they are of. Where there are more than may be kept, those not asked for longest go.

    most_bytes: of all masks together.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes, self._version = 0, -1
        self._masks: OrderedDict[Hashable, BoolArray] = OrderedDict()

    def mask(self, key: Hashable, version: int, make: Callable[[], BoolArray]) -> BoolArray:
        """The mask of that key, not to be written to.

        version: of the assortment; masks of another are forgotten.
        make: works it out.
        """
        if version != self._version:
            self._masks.clear()
            self._bytes, self._version = 0, version
        found = self._masks.get(key)
        if found is not None:
            self._masks.move_to_end(key)
            return found
        made = make()
        made.flags.writeable = False
        self._masks[key] = made
        self._bytes += made.nbytes
        while self._bytes > self._most_bytes and len(self._masks) > 1:
            self._bytes -= self._masks.popitem(last=False)[1].nbytes
        return made
