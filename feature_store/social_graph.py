"""The social graph: who follows, is friends with, blocks and mutes whom, and what follows for who sees whom.

    follow    one way
    friend    both ways: whoever makes or ends it does so for both
    block     hides each from the other, and ends what they followed of each other and their friendship
    mute      hides the other from the person alone

`tests/feature_store/social_graph_contract.py` holds every implementation to the protocol. Each tie stands at both of
its ends, so that the questions and the erasure of either read what is its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeAlias

from feature_store.errors import BadInput
from feature_store.events import LATEST_TIMESTAMP, require_id
from feature_store.item_schemas import Visibility
from feature_store.stores import JsonObject

TieKind: TypeAlias = Literal["follow", "friend", "block", "mute"]
TieList: TypeAlias = Literal["follow", "follower", "friend", "block", "blocker", "mute", "muter"]

OTHER_END: Mapping[TieList, TieList] = MappingProxyType(
    {
        "follow": "follower",
        "follower": "follow",
        "friend": "friend",
        "block": "blocker",
        "blocker": "block",
        "mute": "muter",
        "muter": "mute",
    }
)
LISTS: tuple[TieList, ...] = tuple(OTHER_END)
HIDING: tuple[TieList, ...] = ("block", "blocker", "mute")
ENDED_BY_A_BLOCK: tuple[TieList, ...] = ("follow", "follower", "friend")
MOST_TIES = 5000  # that one person makes of one kind; how many others make with one is not bounded


@dataclass(frozen=True, slots=True)
class Tie:
    """One person's tie to another. time: since when, in seconds since 1970."""

    kind: TieKind
    person: str
    other: str
    time: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("follow", "friend", "block", "mute"):
            raise BadInput(f"a tie is a follow, friend, block or mute; got {self.kind!r}")
        require_id("person of a tie", self.person)
        require_id("other of a tie", self.other)
        if self.person == self.other:
            raise BadInput(f"a tie is between two people; got one, with a {self.kind} to oneself")
        if not 0 <= self.time < LATEST_TIMESTAMP:
            raise BadInput(f"time of a tie is seconds (not milliseconds) since 1970; got {self.time}")


class Relation(NamedTuple):
    """What one person is to another: follows and is friends with them; and may see nothing of theirs."""

    follows: bool
    friends: bool
    hidden: bool


class SocialGraph(Protocol):
    """The ties of a cell.

    Raises, in each method:
        StoreError: as its subclasses say.
    """

    async def add(self, ties: Sequence[Tie]) -> list[bool]:
        """Add the ties, one after the other, each whole; True where one is new, False where it was there.

        False also for a follow or friendship between two of whom one blocks the other. Where it raises, some may be
        added; adding all of them again is harmless.

        Raises:
            BadInput: somebody would have more than `MOST_TIES` of the kind.
        """
        ...

    async def remove(self, ties: Sequence[Tie]) -> list[bool]:
        """Remove the ties, whatever their times; False where one was not there. A block's end brings nothing back."""
        ...

    async def follows(self, person: str, most: int = 1000) -> tuple[str, ...]:
        """Whom the person follows, the newest first, then by id."""
        ...

    async def friends(self, person: str, most: int = 1000) -> tuple[str, ...]:
        """Whom the person is friends with, the newest first, then by id."""
        ...

    async def hidden_from(self, person: str) -> frozenset[str]:
        """Everybody of whom the person may see nothing: blocked by or blocking the person, or muted."""
        ...

    async def relations(self, person: str, others: Sequence[str]) -> list[Relation]:
        """What the person is to each of the others, in one round trip; costs as many as are asked for."""
        ...

    async def erase(self, user_id: str) -> Mapping[TieList, int]:
        """Remove all ties of the person, at both ends; of each of the person's lists how many there were."""
        ...

    async def delete(self, user_id: str) -> int:
        """`erase`, and how many there were of all."""
        ...

    async def export(self, user_id: str) -> JsonObject:
        """All that the person did here, and who follows the person, ready for `json.dumps`.

        Who blocks or mutes the person is what these did, and not the person's to be told.
        """
        ...

    async def finish_erasures(self) -> bool:
        """As `feature_store.stores.PlaceOfPeople.finish_erasures`."""
        ...

    async def rotate(self) -> int:
        """Seal everything anew that is not sealed with the newest key, in small steps; how many values those were."""
        ...


def may_see(viewer: str, author: str, visibility: Visibility, relation: Relation) -> bool:
    """Whether somebody sees what an author made; `relation` is what the viewer is to the author."""
    if viewer == author:
        return True
    if relation.hidden or visibility == "private":
        return False
    return visibility == "public" or relation.follows or relation.friends


class Sides(Protocol):
    """The lists of people, as far as the rules ask for them. Each of these is at one end alone."""

    def has(self, person: str, name: TieList, other: str) -> bool:
        """Whether the other is in the person's list."""
        ...

    def count(self, person: str, name: TieList) -> int:
        """How many are in it."""
        ...

    def put(self, person: str, name: TieList, other: str, time: float) -> None:
        """Put the other in it."""
        ...

    def drop(self, person: str, name: TieList, other: str) -> bool:
        """Take the other out of it; whether they were there."""
        ...


def add_tie(sides: Sides, tie: Tie) -> bool:
    """The rules for one tie; see `SocialGraph.add`. Redis has the same in Lua."""
    person, other, name = tie.person, tie.other, tie.kind
    if sides.has(person, name, other):
        return False
    if name in ENDED_BY_A_BLOCK and (sides.has(person, "block", other) or sides.has(person, "blocker", other)):
        return False
    for one in (person, other) if name == "friend" else (person,):
        if sides.count(one, name) >= MOST_TIES:
            raise too_many(name)
    if name == "block":
        for ended in ENDED_BY_A_BLOCK:
            drop_both(sides, person, ended, other)
    sides.put(person, name, other, tie.time)
    sides.put(other, OTHER_END[name], person, tie.time)
    return True


def drop_both(sides: Sides, person: str, name: TieList, other: str) -> bool:
    """Take a tie away at both of its ends; whether it was there."""
    sides.drop(other, OTHER_END[name], person)
    return sides.drop(person, name, other)


def too_many(name: TieList) -> BadInput:
    """The error of somebody who has as many ties of a kind as one can have; it names nobody."""
    return BadInput(f"one person makes at most {MOST_TIES:,} ties of the kind {name}; this would be one more")


def newest_first(times: Mapping[str, float], most: int) -> tuple[str, ...]:
    """The people of a list: of the newest so many, by time and then by id."""
    return tuple(sorted(times, key=lambda user_id: (-times[user_id], user_id))[:most])


def exported(user_id: str, lists: Mapping[TieList, Mapping[str, float]]) -> JsonObject:
    """What `SocialGraph.export` gives of a person with these lists."""
    told: tuple[tuple[str, TieList], ...] = (
        ("follows", "follow"),
        ("followers", "follower"),
        ("friends", "friend"),
        ("blocks", "block"),
        ("mutes", "mute"),
    )
    parts = {
        title: [
            {"user_id": other, "since": lists[name][other]} for other in newest_first(lists[name], len(lists[name]))
        ]
        for title, name in told
    }
    return {"user_id": user_id, **parts}
