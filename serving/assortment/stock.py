"""The stock: the assortments of all verticals, made anew for each model, and kept up to date in between."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from feature_store.item_schemas import StoredItem
from feature_store.item_store import ItemStore
from serving.assortment.assortment import Assortment
from serving.assortment.following import Follower
from serving.model import ServingModel
from serving.shelf import Shelf

# Who asks meanwhile waits for one slice at most, about a millisecond, and four fifths of the time are theirs.
_SLICE = 64  # items
_PAUSE_SECONDS = 0.005  # after each

_NOTHING: Mapping[str | None, Assortment] = MappingProxyType({})


class Stock:
    """What can be shown, by vertical; None is all that the model knows, whatever catalogues say.

    catalogues: where items are; None where the model alone says what there is.
    verticals: those whose items are in `catalogues`.
    beside: another model's stock of the same catalogues. What it has read of them need not be read again, and is in
        memory once: an item is a kilobyte or more.
    """

    def __init__(
        self, catalogues: ItemStore | None = None, verticals: Iterable[str] = (), beside: "Stock | None" = None
    ) -> None:
        self.shown: Mapping[str | None, Assortment] = _NOTHING
        self._catalogues = catalogues
        self._verticals = frozenset(verticals) if catalogues is not None else frozenset()
        self._followers: dict[str, Follower] = {}
        self._beside = beside

    def followers(self) -> tuple[Follower, ...]:
        """Those that keep what is shown now up to date."""
        return tuple(self._followers.values())

    def follower(self, vertical: str) -> Follower | None:
        """The one that keeps this vertical up to date; None where nobody does."""
        return self._followers.get(vertical)

    def add(self, verticals: Iterable[str]) -> bool:
        """Let the next assortments have these verticals' catalogues too; whether any of them is new."""
        before = self._verticals
        if self._catalogues is not None:
            self._verticals = before | frozenset(verticals)
        return self._verticals != before

    def clear(self) -> None:
        """Show nothing, and follow nothing, until there is another model."""
        self.shown, self._followers = _NOTHING, {}

    async def for_model(self, model: ServingModel | None) -> Mapping[str | None, Assortment]:
        """The assortments for a model that is about to answer. Those shown until then go on being followed.

        model: None, as long as there is none, for those of the catalogues alone.

        It takes its time, so that requests are answered meanwhile. A catalogue that cannot be read now is taken over
        from the present model's, and caught up with later.
        """
        shelves: Mapping[str, Shelf] = {} if model is None else model.verticals
        names: Sequence[str] = () if model is None else model.checkpoint.vocabulary.item_ids
        everything = Assortment(None if model is None else model.everything, names, has_catalogue=False)
        made: dict[str | None, Assortment] = {None: everything}
        followers = {}
        for vertical in {*shelves, *self._verticals}:
            await asyncio.sleep(_PAUSE_SECONDS)  # 20,000 items took five milliseconds until here
            shelf = shelves.get(vertical)
            ids = [] if shelf is None else [names[row] for row in shelf.rows.tolist()]
            made[vertical] = Assortment(shelf, ids, has_catalogue=vertical in self._verticals)
            if vertical in self._verticals:
                followers[vertical] = await self._follower(vertical, made[vertical])
        for follower in followers.values():  # at the end: what changed while items were taken over is in it, too
            await follower.look(0.0)  # where it fails, `follow` tries again
        self._followers = followers
        return made

    async def _follower(self, vertical: str, assortment: Assortment) -> Follower:
        if self._catalogues is None:
            raise ValueError(f"{vertical} has no catalogue to follow")
        before = self._followers.get(vertical)
        if before is None and self._beside is not None:
            before = self._beside.follower(vertical)
        if before is None:
            return Follower(vertical, self._catalogues, assortment)
        # The mark goes with the items as they are at this moment; what changes from now on comes after it.
        follower = Follower(vertical, self._catalogues, assortment, before.mark)
        await _take_over(before.assortment.items(), assortment)
        return follower


async def _take_over(items: Sequence[StoredItem], assortment: Assortment) -> None:
    """Put the items slice by slice, between which requests have their turn."""
    for first in range(0, len(items), _SLICE):
        assortment.put(items[first : first + _SLICE])
        await asyncio.sleep(_PAUSE_SECONDS)
