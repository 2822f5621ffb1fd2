"""Kept masks: which items of an assortment something holds for, worked out once for as long as the assortment stays.

Where few are looked for, their places are kept as well: a mask of a million items is a million bytes to look through.

Nearly all requests of a placement ask the same of the same items: its rules, what it shows at all, a few usual filters.
Working that out takes longer than all else that a request does with items, and the answer changes with the catalogue
alone.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np

from feature_store.arrays import BoolArray, Int32Array

MOST_BYTES = 16_000_000
"""Of one assortment's masks and places; one mask is kept however large it is."""


class KeptMasks:
    """Masks by what they are of. Where there are more than may be kept, those not asked for longest go.

    most_bytes: of all masks together.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes, self._version = 0, -1
        self._masks: OrderedDict[Hashable, tuple[BoolArray, Int32Array | None]] = OrderedDict()

    def mask(self, key: Hashable, version: int, make: Callable[[], BoolArray]) -> BoolArray:
        """The mask of that key, not to be written to.

        version: of the assortment; masks of another are forgotten.
        make: works it out.
        """
        found = self._found(key, version)
        if found is not None:
            return found[0]
        made = make()
        made.flags.writeable = False
        self._keep(key, made, None)
        return made

    def places(self, key: Hashable, version: int, make: Callable[[], BoolArray]) -> Int32Array:
        """Where the mask of that key is true, ascending, not to be written to."""
        mask = self.mask(key, version, make)
        _, places = self._masks[key]
        if places is None:
            places = np.flatnonzero(mask).astype(np.int32)
            places.flags.writeable = False
            self._keep(key, mask, places)
        return places

    def _found(self, key: Hashable, version: int) -> tuple[BoolArray, Int32Array | None] | None:
        if version != self._version:
            self._masks.clear()
            self._bytes, self._version = 0, version
        found = self._masks.get(key)
        if found is not None:
            self._masks.move_to_end(key)
        return found

    def _keep(self, key: Hashable, mask: BoolArray, places: Int32Array | None) -> None:
        self._bytes += mask.nbytes if places is None else places.nbytes
        self._masks[key] = mask, places
        while self._bytes > self._most_bytes and len(self._masks) > 1:
            _, (mask, places) = self._masks.popitem(last=False)
            self._bytes -= mask.nbytes + (0 if places is None else places.nbytes)
