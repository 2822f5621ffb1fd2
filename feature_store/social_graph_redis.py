"""The social graph in the Redis of a cell, sealed: one script a tie, so that both of its ends change at once.

    hearth:graph:{ties}                     hash: format; index, the secret that pseudonyms are made with, sealed
    hearth:graph:{ties}:<pseudonym>:<list>  hash: pseudonym of the other at this person -> who and since when, sealed

All of it is in one slot of a Cluster: a tie changes two people, and a script changes one slot's keys.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from feature_store.encryption import KeyRing
from feature_store.index_secret_redis import WatchedSecret, reseal_redis_secret, watched_secret
from feature_store.lua import fields, script
from feature_store.redis_connection import RedisConnection, connected
from feature_store.redis_connections import Command
from feature_store.redis_rewriting import RedisRewriting, rewriting_of
from feature_store.redis_scripts import REPLACE
from feature_store.redis_settings import RedisSettings
from feature_store.social_graph import (
    HIDING,
    LISTS,
    MOST_TIES,
    OTHER_END,
    Relation,
    Tie,
    TieList,
    exported,
    newest_first,
    too_many,
)
from feature_store.social_graph_sealing import TieSealing
from feature_store.stores import JsonObject
from feature_store.unreadable import Unreadable

_GRAPH, _LISTS = b"hearth:graph:{ties}", "hearth:graph:{ties}:*"
_ASKED: tuple[TieList, ...] = ("follow", "friend", *HIDING)
_AT_ONCE = 1000  # fields in one command

_BOTH = """
local kind, back, person, other, edge, edge_back = unpack(ARGV)
local function at(owner, list) return KEYS[1] .. ':' .. owner .. ':' .. list end
local function drop(list, list_back)
  redis.call('HDEL', at(other, list_back), edge_back)
  return redis.call('HDEL', at(person, list), edge)
end
"""
# kind, list at the other end, person, other, the edge at each, what is sealed for each, most
# -> 1 added, 0 there already or blocked, -1 too many
_ADD = script(
    _BOTH
    + """
local function has(list) return redis.call('HEXISTS', at(person, list), edge) == 1 end
local most = tonumber(ARGV[9])
if has(kind) then return 0 end
if (kind == 'follow' or kind == 'friend') and (has('block') or has('blocker')) then return 0 end
if redis.call('HLEN', at(person, kind)) >= most then return -1 end
if kind == 'friend' and redis.call('HLEN', at(other, kind)) >= most then return -1 end
if kind == 'block' then
  drop('follow', 'follower')
  drop('follower', 'follow')
  drop('friend', 'friend')
end
redis.call('HSET', at(person, kind), edge, ARGV[7])
redis.call('HSET', at(other, back), edge_back, ARGV[8])
return 1
"""
)
# kind, list at the other end, person, other, the edge at each -> how many were there
_DROP = script(_BOTH + "return drop(kind, back)")


@asynccontextmanager
async def open_redis_graph(settings: RedisSettings, keys: KeyRing) -> AsyncIterator["RedisSocialGraph"]:
    """The graph of that Redis."""
    async with connected(settings) as connection:
        secret = await watched_secret(connection, _GRAPH, keys, _LISTS)
        async with rewriting_of(connection, settings.rewrite_after) as rewriting:
            yield RedisSocialGraph(connection, secret, TieSealing(keys, secret.secret), rewriting)


class RedisSocialGraph:
    """Ties in hashes, two fields each."""

    def __init__(
        self, connection: RedisConnection, secret: WatchedSecret, sealing: TieSealing, rewriting: RedisRewriting
    ) -> None:
        self._connection, self._secret, self._sealing, self._rewriting = connection, secret, sealing, rewriting

    async def add(self, ties: Sequence[Tie]) -> list[bool]:
        """See `SocialGraph.add`. Where a reply was lost, a tie that is new may be told as one that was there."""
        await self._secret.look_again()
        runs = [
            (
                _GRAPH,
                *self._both(tie.person, tie.kind, tie.other),
                self._sealing.seal(tie.person, tie.kind, tie.other, tie.time),
                self._sealing.seal(tie.other, OTHER_END[tie.kind], tie.person, tie.time),
                MOST_TIES,
            )
            for tie in ties
        ]
        replies = [answer.reply for answer in await self._connection.write_all(_ADD, runs)]
        for tie, reply in zip(ties, replies, strict=True):
            if reply == -1:
                raise too_many(tie.kind)
        return [reply == 1 for reply in replies]

    async def remove(self, ties: Sequence[Tie]) -> list[bool]:
        """See `SocialGraph.remove`."""
        return await self._drop([(tie.person, tie.kind, tie.other) for tie in ties])

    async def follows(self, person: str, most: int = 1000) -> tuple[str, ...]:
        """See `SocialGraph.follows`."""
        return newest_first((await self._lists(person, ("follow",)))["follow"], most)

    async def friends(self, person: str, most: int = 1000) -> tuple[str, ...]:
        """See `SocialGraph.friends`."""
        return newest_first((await self._lists(person, ("friend",)))["friend"], most)

    async def hidden_from(self, person: str) -> frozenset[str]:
        """See `SocialGraph.hidden_from`."""
        lists = await self._lists(person, HIDING)
        return frozenset(other for times in lists.values() for other in times)

    async def relations(self, person: str, others: Sequence[str]) -> list[Relation]:
        """See `SocialGraph.relations`."""
        if not others:
            return []
        await self._secret.look_again()
        edges = [self._sealing.edge(person, other) for other in others]
        found = await self._connection.ask_all([("HMGET", self._at(person, name), *edges) for name in _ASKED])
        return [
            Relation(follow is not None, friend is not None, hidden=any(value is not None for value in hiding))
            for follow, friend, *hiding in zip(*found, strict=True)
        ]

    async def erase(self, user_id: str) -> Mapping[TieList, int]:
        """See `SocialGraph.erase`. Ties that others make meanwhile are taken too, up to the last look.

        How long the bytes stay in Redis's files: `RedisSettings.rewrite_after`.
        """
        await self._secret.look_again()
        counts: dict[TieList, int] = dict.fromkeys(LISTS, 0)
        while True:
            ties, damaged = await self._ties(user_id)
            if not ties and not damaged:
                return counts
            async with self._rewriting.erasing():
                flags = await self._drop(ties)
                drops: list[Command] = [("HDEL", self._at(user_id, name), edge) for name, edge in damaged]
                gone = await self._connection.ask_all(drops)
            for (_, name, _), dropped in zip(ties, flags, strict=True):
                counts[name] += dropped
            for (name, _), number in zip(damaged, gone, strict=True):
                counts[name] += number

    async def _ties(self, person: str) -> tuple[list[tuple[str, TieList, str]], list[tuple[TieList, bytes]]]:
        """All ties of the person; and, by list and edge, what is there and cannot be read, or is another edge's."""
        ties: list[tuple[str, TieList, str]] = []
        damaged: list[tuple[TieList, bytes]] = []
        owner = self._sealing.person(person)
        found = await self._connection.ask_all([("HGETALL", self._at(person, name)) for name in LISTS])
        for name, held in zip(LISTS, map(fields, found), strict=True):
            for edge, sealed in held.items():
                other = self._sealing.other_of(owner, name, sealed)
                if other is not None and self._sealing.edge(person, other) == edge:
                    ties.append((person, name, other))
                else:
                    damaged.append((name, edge))
        return ties, damaged

    async def delete(self, user_id: str) -> int:
        """See `SocialGraph.delete`."""
        return sum((await self.erase(user_id)).values())

    async def finish_erasures(self) -> bool:
        """As `RedisEventStore.finish_erasures`, for all that was erased in this Redis."""
        return await self._rewriting.finish()

    async def export(self, user_id: str) -> JsonObject:
        """See `SocialGraph.export`."""
        return exported(user_id, await self._lists(user_id, LISTS))

    async def rotate(self) -> int:
        """See `SocialGraph.rotate`."""
        await self._secret.look()
        unreadable = Unreadable()
        sealed = await reseal_redis_secret(self._connection, _GRAPH, self._sealing.keys)
        async for keys in self._connection.keys(_LISTS):
            for key in keys:
                sealed += await self._reseal(key, unreadable)
        unreadable.tell(self._connection.place, f"{sealed} values of ties were sealed anew")
        return sealed

    async def _reseal(self, key: bytes, unreadable: Unreadable) -> int:
        owner, written = key.split(b":")[-2:]
        person = bytes.fromhex(owner.decode())
        name = next(name for name in LISTS if name == written.decode())
        values = fields(await self._connection.ask("HGETALL", key))
        changes: list[bytes] = []
        for edge, value in values.items():
            with unreadable.left_out(person):
                fresh = self._sealing.resealed(person, name, value)
                if fresh is not None:
                    changes += [edge, value, fresh]
        step = 3 * _AT_ONCE
        return sum(
            [
                int((await self._connection.write(REPLACE, key, *changes[start : start + step])).reply)
                for start in range(0, len(changes), step)
            ]
        )

    async def _lists(self, person: str, names: Sequence[TieList]) -> dict[TieList, dict[str, float]]:
        await self._secret.look_again()
        owner = self._sealing.person(person)
        found = await self._connection.ask_all([("HVALS", self._at(person, name)) for name in names])
        return {
            name: dict(self._sealing.open(owner, name, sealed) for sealed in values)
            for name, values in zip(names, found, strict=True)
        }

    async def _drop(self, ties: Sequence[tuple[str, TieList, str]]) -> list[bool]:
        await self._secret.look_again()
        runs = [(_GRAPH, *self._both(*tie)) for tie in ties]
        return [answer.reply == 1 for answer in await self._connection.write_all(_DROP, runs)]

    def _both(self, person: str, name: TieList, other: str) -> tuple[bytes | str, ...]:
        ends = (self._sealing.person(person).hex(), self._sealing.person(other).hex())
        return name, OTHER_END[name], *ends, self._sealing.edge(person, other), self._sealing.edge(other, person)

    def _at(self, person: str, name: TieList) -> bytes:
        return b":".join((_GRAPH, self._sealing.person(person).hex().encode(), name.encode()))
