"""What every social graph must do. A test class of each kind inherits it and gives the fixture `graph`, empty."""

import asyncio
import json
from typing import get_args

import pytest

from feature_store.errors import BadInput
from feature_store.social_graph import MOST_TIES, Relation, SocialGraph, Tie, TieKind

STRANGER = Relation(follows=False, friends=False, hidden=False)


def ties(*written: str) -> list[Tie]:
    """`ada follow bob 5` is a tie of that kind since then."""
    return [
        Tie(kind, person, other, float(*time))  # type: ignore[arg-type]  # a tie looks at its kind itself
        for person, kind, other, *time in map(str.split, written)
    ]


@pytest.mark.anyio
class SocialGraphContract:
    async def test_a_follow_goes_one_way(self, graph: SocialGraph) -> None:
        assert await graph.add(ties("ada follow bob")) == [True]
        assert await graph.follows("ada") == ("bob",)
        assert await graph.follows("bob") == ()
        assert await graph.relations("ada", ["bob", "cy"]) == [STRANGER._replace(follows=True), STRANGER]
        assert await graph.relations("bob", ["ada"]) == [STRANGER]
        assert await graph.relations("bob", []) == []

    async def test_a_friendship_goes_both_ways_and_either_ends_it(self, graph: SocialGraph) -> None:
        assert await graph.add(ties("ada friend bob", "bob friend ada")) == [True, False]
        assert (await graph.friends("ada"), await graph.friends("bob")) == (("bob",), ("ada",))
        assert await graph.relations("bob", ["ada"]) == [STRANGER._replace(friends=True)]
        assert await graph.remove(ties("bob friend ada", "ada friend bob")) == [True, False]
        assert (await graph.friends("ada"), await graph.friends("bob")) == ((), ())

    async def test_the_same_tie_again_changes_nothing(self, graph: SocialGraph) -> None:
        await graph.add(ties("ada follow bob 5", "ada follow cy 6"))
        assert await graph.add(ties("ada follow bob 7")) == [False]
        assert await graph.follows("ada") == ("cy", "bob")

    async def test_the_newest_come_first_and_no_more_than_asked_for(self, graph: SocialGraph) -> None:
        await graph.add(ties("ada follow c 5", "ada follow b 5", "ada follow a 4.5", "ada follow d 1e9"))
        assert await graph.follows("ada") == ("d", "b", "c", "a")
        assert await graph.follows("ada", most=2) == ("d", "b")
        await graph.add(ties("ada friend x 1", "y friend ada 2"))
        assert await graph.friends("ada", most=1) == ("y",)

    async def test_a_block_hides_each_from_the_other_and_ends_what_was(self, graph: SocialGraph) -> None:
        await graph.add(ties("ada follow bob", "bob follow ada", "ada friend bob", "ada follow cy"))
        assert await graph.add(ties("bob block ada")) == [True]
        assert await graph.hidden_from("ada") == {"bob"}
        assert await graph.hidden_from("bob") == {"ada"}
        assert await graph.relations("ada", ["bob", "cy"]) == [
            STRANGER._replace(hidden=True),
            STRANGER._replace(follows=True),
        ]
        assert (await graph.follows("ada"), await graph.friends("ada")) == (("cy",), ())
        assert (await graph.follows("bob"), await graph.friends("bob")) == ((), ())
        assert (await graph.export("bob"))["followers"] == []

    async def test_who_is_blocked_can_neither_follow_nor_be_a_friend_until_it_ends(self, graph: SocialGraph) -> None:
        await graph.add(ties("bob block ada"))
        tried = ties("ada follow bob", "bob follow ada", "ada friend bob", "bob friend ada")
        assert await graph.add(tried) == [False] * 4
        assert await graph.add(ties("ada block bob", "ada mute bob")) == [True, True]
        assert await graph.remove(ties("bob block ada")) == [True]
        assert await graph.hidden_from("bob") == {"ada"}
        assert await graph.remove(ties("ada block bob", "ada mute bob")) == [True, True]
        assert (await graph.hidden_from("ada"), await graph.hidden_from("bob")) == (frozenset(), frozenset())
        assert await graph.follows("ada") == ()
        assert await graph.add(tried[:1]) == [True]

    async def test_a_mute_hides_one_way_and_ends_nothing(self, graph: SocialGraph) -> None:
        await graph.add(ties("ada follow bob", "ada friend bob", "ada mute bob"))
        assert await graph.hidden_from("ada") == {"bob"}
        assert await graph.hidden_from("bob") == frozenset()
        assert await graph.relations("ada", ["bob"]) == [Relation(follows=True, friends=True, hidden=True)]
        assert await graph.relations("bob", ["ada"]) == [STRANGER._replace(friends=True)]

    async def test_ids_of_every_kind_are_ids(self, graph: SocialGraph) -> None:
        people = ["naïve 🜂", "nul \0 within", ":", "follow", "x" * 256, "{a}"]
        await graph.add([Tie("follow", "ada", other, 1.0) for other in people])
        await graph.add([Tie("block", person, "ada") for person in people[:3]])
        assert await graph.follows("ada") == tuple(sorted(people[3:]))
        assert await graph.hidden_from("ada") == set(people[:3])

    async def test_nobody_makes_more_ties_than_one_can_and_others_may(self, graph: SocialGraph) -> None:
        many = [Tie("block", "ada", f"p{n}") for n in range(MOST_TIES)]
        for start in range(0, MOST_TIES, 1000):
            await graph.add(many[start : start + 1000])
        with pytest.raises(BadInput, match="at most 5,000 ties of the kind block"):
            await graph.add(ties("ada block bob"))
        assert await graph.add(ties("ada block p7", "ada mute bob", "bob block ada")) == [False, True, True]
        assert len(await graph.hidden_from("ada")) == MOST_TIES + 1

    async def test_erasing_takes_all_ties_at_both_ends_and_nobody_elses(self, graph: SocialGraph) -> None:
        await graph.add(ties("ada follow bob", "bob follow ada", "cy follow ada", "ada friend bob", "bob follow cy"))
        await graph.add(ties("ada block x", "y block ada", "ada mute bob", "z mute ada", "z mute bob"))
        counts = {"follow": 1, "follower": 2, "friend": 1, "block": 1, "blocker": 1, "mute": 1, "muter": 1}
        assert await graph.erase("ada") == counts
        assert await graph.erase("ada") == dict.fromkeys(counts, 0)
        assert (await graph.follows("bob"), await graph.friends("bob")) == (("cy",), ())
        assert await graph.export("bob") == {
            "user_id": "bob",
            "follows": [{"user_id": "cy", "since": 0.0}],
            "followers": [],
            "friends": [],
            "blocks": [],
            "mutes": [],
        }
        for other in ("x", "y"):
            assert await graph.hidden_from(other) == frozenset()
        assert await graph.hidden_from("z") == {"bob"}
        assert await graph.delete("bob") == 2
        assert await graph.delete("nobody") == 0

    async def test_an_export_tells_what_is_the_persons_own_as_json(self, graph: SocialGraph) -> None:
        await graph.add(ties("ada follow bob 5", "cy follow ada 6", "ada friend dee 7", "ada block eve 8"))
        await graph.add(ties("ada mute gus 9", "spy block ada 1", "spy2 mute ada 1"))
        assert json.loads(json.dumps(await graph.export("ada"))) == {
            "user_id": "ada",
            "follows": [{"user_id": "bob", "since": 5.0}],
            "followers": [{"user_id": "cy", "since": 6.0}],
            "friends": [{"user_id": "dee", "since": 7.0}],
            "blocks": [{"user_id": "eve", "since": 8.0}],
            "mutes": [{"user_id": "gus", "since": 9.0}],
        }

    async def test_many_at_once_leave_both_ends_alike(self, graph: SocialGraph) -> None:
        """Friendships and blocks of one pair race: whichever was last, the two ends agree, and a block has ended it."""
        kinds: tuple[TieKind, ...] = get_args(TieKind)
        await asyncio.gather(
            *(
                graph.add([Tie(kind, *pair, 1.0)])
                for kind in kinds
                for pair in (("a", "b"), ("b", "a"))
                for _ in range(3)
            )
        )
        assert (await graph.friends("a"), await graph.friends("b"), await graph.follows("a")) == ((), (), ())
        assert await graph.relations("a", ["b"]) == [STRANGER._replace(hidden=True)]
        left = {"follow": 0, "follower": 0, "friend": 0, "block": 1, "blocker": 1, "mute": 1, "muter": 1}
        assert await graph.erase("a") == left
        assert sum((await graph.erase("b")).values()) == 0
