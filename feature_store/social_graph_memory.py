"""The social graph in memory: for tests, and for a demonstration that keeps nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from feature_store.social_graph import (
    HIDING,
    LISTS,
    Relation,
    Tie,
    TieList,
    add_tie,
    drop_both,
    exported,
    newest_first,
)
from feature_store.stores import JsonObject


class _Lists:
    """Person -> list -> other -> since when."""

    def __init__(self) -> None:
        self.of: dict[str, dict[TieList, dict[str, float]]] = defaultdict(lambda: {name: {} for name in LISTS})

    def has(self, person: str, name: TieList, other: str) -> bool:
        return person in self.of and other in self.of[person][name]

    def count(self, person: str, name: TieList) -> int:
        return len(self.of[person][name]) if person in self.of else 0

    def put(self, person: str, name: TieList, other: str, time: float) -> None:
        self.of[person][name][other] = time

    def drop(self, person: str, name: TieList, other: str) -> bool:
        return person in self.of and self.of[person][name].pop(other, None) is not None


class InMemorySocialGraph:
    """Ties in dictionaries. No method awaits anything within, so each is whole."""

    def __init__(self) -> None:
        self._lists = _Lists()

    async def add(self, ties: Sequence[Tie]) -> list[bool]:
        """See `SocialGraph.add`."""
        return [add_tie(self._lists, tie) for tie in ties]

    async def remove(self, ties: Sequence[Tie]) -> list[bool]:
        """See `SocialGraph.remove`."""
        return [drop_both(self._lists, tie.person, tie.kind, tie.other) for tie in ties]

    async def follows(self, person: str, most: int = 1000) -> tuple[str, ...]:
        """See `SocialGraph.follows`."""
        return newest_first(self._of(person)["follow"], most)

    async def friends(self, person: str, most: int = 1000) -> tuple[str, ...]:
        """See `SocialGraph.friends`."""
        return newest_first(self._of(person)["friend"], most)

    async def hidden_from(self, person: str) -> frozenset[str]:
        """See `SocialGraph.hidden_from`."""
        lists = self._of(person)
        return frozenset(other for name in HIDING for other in lists[name])

    async def relations(self, person: str, others: Sequence[str]) -> list[Relation]:
        """See `SocialGraph.relations`."""
        lists = self._of(person)
        return [
            Relation(
                other in lists["follow"], other in lists["friend"], hidden=any(other in lists[name] for name in HIDING)
            )
            for other in others
        ]

    async def erase(self, user_id: str) -> Mapping[TieList, int]:
        """See `SocialGraph.erase`."""
        lists = self._of(user_id)
        counts = {name: len(lists[name]) for name in LISTS}
        for name in LISTS:
            for other in list(lists[name]):
                drop_both(self._lists, user_id, name, other)
        self._lists.of.pop(user_id, None)
        return counts

    async def delete(self, user_id: str) -> int:
        """See `SocialGraph.delete`."""
        return sum((await self.erase(user_id)).values())

    async def export(self, user_id: str) -> JsonObject:
        """See `SocialGraph.export`."""
        return exported(user_id, self._of(user_id))

    async def finish_erasures(self) -> bool:
        """See `PlaceOfPeople.finish_erasures`. There are no files."""
        return False

    async def rotate(self) -> int:
        """See `SocialGraph.rotate`. Nothing is sealed here."""
        return 0

    def _of(self, person: str) -> Mapping[TieList, dict[str, float]]:
        return self._lists.of[person] if person in self._lists.of else {name: {} for name in LISTS}
