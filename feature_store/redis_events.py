"""What people did, in Redis: histories in the hashes of their people.

Who writes a history says which one it was made from; a script puts it there if nobody wrote since, and else it is made
anew from what is there now.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple

from feature_store import person_record
from feature_store.errors import CorruptStore, StoreUnavailable
from feature_store.event_weights import EventWeights
from feature_store.events import Event, History, require_time
from feature_store.export import exported_record
from feature_store.history_limits import HistoryLimits
from feature_store.met import MetItems
from feature_store.person_bytes import log_from_bytes, log_to_bytes, met_from_bytes, met_to_bytes
from feature_store.person_record import PersonRecord, by_person, new_token
from feature_store.redis_connection import RedisConnection
from feature_store.redis_connections import Argument, Command, Reply
from feature_store.redis_people import Person, RedisPeople
from feature_store.redis_rewriting import RedisRewriting
from feature_store.redis_scripts import DELETE_HISTORY, DROP_HISTORY, PUT_HISTORY, TOKEN_BYTES, TRY
from feature_store.stores import Clock, JsonObject
from feature_store.unreadable import UNREADABLE, Unreadable

_ID, _LOG, MET = "id", "log", "met"
_PLACES = {name: name.encode() for name in (_ID, _LOG, MET)}  # what each is sealed as
_AT_ONCE = 200  # people whose histories are in our memory at the same time
_ROUNDS = 1000  # of writing a history that others write too; in each of them somebody gets through
_PAUSE = 0.002  # seconds, between two of them


class _Held(NamedTuple):
    """A history as it was read: `token` is that of the last write, b"" where there is none."""

    token: bytes
    record: PersonRecord | None


class RedisEventStore:
    """Histories in hashes. What was acknowledged lasts as long as Redis itself makes it last.

    expiry: milliseconds after which a person of whom nothing is written is forgotten; 0 for never.
    """

    def __init__(
        self,
        people: RedisPeople,
        rewriting: RedisRewriting,
        limits: HistoryLimits,
        weights: EventWeights,
        clock: Clock,
        expiry: int,
    ) -> None:
        self._people, self._rewriting = people, rewriting
        self._limits, self._weights, self._clock, self._expiry = limits, weights, clock, expiry
        self._connection: RedisConnection = people.connection

    async def put(self, events: Sequence[Event]) -> list[bool]:
        """See `EventStore.put`.

        The replies are exact although a connection may be lost after a write and before its reply, unless seven
        other writes for the same person come between the two.
        """
        self._limits.require_past(events, self._clock())
        flags = [False] * len(events)
        places = by_person(events)
        user_ids = list(places)

        def added(user_id: str, record: PersonRecord | None, token: int) -> PersonRecord | None:
            mine = places[user_id]
            changed, told = person_record.add(
                record, [events[place] for place in mine], self._limits, self._weights, token
            )
            for place, is_new in zip(mine, told, strict=True):
                flags[place] = is_new
            return changed

        for start in range(0, len(user_ids), _AT_ONCE):
            people = {user_id: await self._people.person(user_id) for user_id in user_ids[start : start + _AT_ONCE]}
            await self._change(people, added)
        return flags

    async def get(self, user_id: str) -> History:
        """See `EventStore.get`."""
        record = await self._record(user_id)
        return record.history if record else History()

    async def met(self, user_id: str, since: float | None = None) -> MetItems:
        """See `EventStore.met`."""
        if since is not None:
            record = await self._record(user_id)
            return person_record.met(record, self._weights, since) if record else MetItems()
        return (await self.met_many([user_id]))[0]

    async def met_many(self, user_ids: Sequence[str]) -> list[MetItems]:
        """See `EventStore.met_many`. In a cluster: one round trip to each node, all at once."""
        people = [await self._people.person(user_id) for user_id in user_ids]
        commands: list[Command] = [("HGET", person.key, MET) for person in people]
        replies = await self._connection.ask_all(commands, at_once=max(1, len(commands)))
        return [self.opened_met(person, sealed) for person, sealed in zip(people, replies, strict=True)]

    def opened_met(self, person: Person, sealed: Reply) -> MetItems:
        """What stands in the field `MET` of a person, None where it is not there."""
        return MetItems() if sealed is None else met_from_bytes(self._opened(person, MET, sealed))

    async def delete(self, user_id: str) -> int:
        """See `EventStore.delete`. What cannot be opened is removed too, and counts as one thing.

        How long the bytes stay in Redis's files: `RedisSettings.rewrite_after`.
        """
        person = await self._people.person(user_id)
        for _ in range(_ROUNDS):
            try:
                ((token, record),) = await self._held({user_id: person})
            except UNREADABLE:
                async with self._rewriting.erasing():
                    await self._connection.write(DROP_HISTORY, person.key)
                return 1
            if record is None:
                return 0
            async with self._rewriting.erasing():
                answer = await self._connection.write(DELETE_HISTORY, person.key, token)
            if answer.reply == 1 or (answer.reply == 2 and answer.repeated):
                return len(record.events) + len(record.signals)
            await asyncio.sleep(_PAUSE)
        raise self._contended()

    async def export(self, user_id: str) -> JsonObject:
        """See `EventStore.export`."""
        return exported_record(await self._record(user_id) or PersonRecord(user_id))

    async def forget_before(self, time: float) -> int:
        """See `EventStore.forget_before`."""
        require_time("the time before which is forgotten", time)
        unreadable = Unreadable()
        gone = 0
        async with self._rewriting.erasing():
            async for some in self._people.everybody():
                for start in range(0, len(some), _AT_ONCE):
                    gone += await self._forget(some[start : start + _AT_ONCE], time, unreadable)
        unreadable.tell(self._connection.place, f"{gone} events were forgotten")
        return gone

    async def try_write(self) -> None:
        """See `EventStore.try_write`. Every server that takes writes is tried."""
        for server in await self._connection.masters():
            await self._connection.write(TRY, self._connection.key_on(server, "hearth:try:*").encode())

    async def rotate(self) -> int:
        """See `EventStore.rotate`."""
        unreadable = Unreadable()
        sealed_anew = await self._people.rotate()
        async for some in self._people.everybody():
            for start in range(0, len(some), _AT_ONCE):
                places = dict.fromkeys(some[start : start + _AT_ONCE], _PLACES)
                sealed_anew += await self._people.reseal(places, unreadable)
        unreadable.tell(self._connection.place, f"{sealed_anew} values were sealed anew")
        return sealed_anew

    async def user_ids(self) -> AsyncIterator[str]:
        """See `EventStore.user_ids`. In a cluster whose slots move meanwhile, somebody may be left out."""
        unreadable = Unreadable()
        async for some in self._people.everybody():
            for user_id in (await self._ids(some, unreadable)).values():
                yield user_id
        unreadable.tell(self._connection.place, "everybody was named")

    def pseudonym(self, user_id: str) -> str:
        """See `EventStore.pseudonym`."""
        return self._people.named(user_id).pseudonym.hex()

    async def finish_erasures(self) -> bool:
        """Have Redis write its files anew now, without what was erased; whether anything was since the last time."""
        return await self._rewriting.finish()

    async def _record(self, user_id: str) -> PersonRecord | None:
        person = await self._people.person(user_id)
        sealed = await self._connection.ask("HGET", person.key, _LOG)
        return None if sealed is None else log_from_bytes(user_id, self._opened(person, _LOG, sealed))

    async def _forget(self, some: Sequence[Person], time: float, unreadable: Unreadable) -> int:
        """How many events; where a value is damaged, each of these people alone, so that it costs nobody else."""
        ids = await self._ids(some, unreadable)
        try:
            return await self._forget_together(ids, time)
        except UNREADABLE as error:
            if len(ids) == 1:
                unreadable.add(next(iter(ids)).pseudonym, error)
                return 0
            return sum([await self._forget([person], time, unreadable) for person in ids])

    async def _forget_together(self, ids: Mapping[Person, str], time: float) -> int:
        gone: dict[str, int] = {}

        def forgotten(user_id: str, record: PersonRecord | None, token: int) -> PersonRecord | None:
            if record is None:
                gone[user_id] = 0
                return None
            left = person_record.forget_before(record, time, token)
            gone[user_id] = len(record.events) - len(left.events)
            return left

        await self._change({user_id: person for person, user_id in ids.items()}, forgotten)
        return sum(gone.values())

    async def _change(
        self, people: dict[str, Person], change: Callable[[str, PersonRecord | None, int], PersonRecord | None]
    ) -> None:
        """Put what `change` makes of these people's records, however often others write between reading and writing.

        change: user id, record, token of the write -> the record as it should be; the same object, or None, where
            nothing is to be written. It is asked again after somebody else's write.
        """
        # One token for all attempts: one of them that arrives late, after its connection was lost, is known by it.
        tokens = {user_id: new_token() for user_id in people}
        left = people
        for number in range(_ROUNDS):
            puts: dict[str, Command] = {}
            removals: dict[str, Command] = {}
            for (user_id, person), held in zip(left.items(), await self._held(left), strict=True):
                changed = change(user_id, held.record, tokens[user_id])
                if changed is None or changed is held.record:
                    continue
                if changed.is_empty:
                    removals[user_id] = (person.key, held.token)
                else:
                    token = tokens[user_id].to_bytes(TOKEN_BYTES, "big")
                    puts[user_id] = (person.key, held.token, token, self._expiry, *self._sealed(person, changed))
            answers = [
                *zip(puts, await self._connection.write_all(PUT_HISTORY, list(puts.values())), strict=True),
                *zip(removals, await self._connection.write_all(DELETE_HISTORY, list(removals.values())), strict=True),
            ]
            left = {user_id: left[user_id] for user_id, answer in answers if answer.reply == 0}
            if not left:
                return
            await asyncio.sleep(_PAUSE * (1 + number % 8))
        raise self._contended()

    async def _held(self, people: dict[str, Person]) -> list[_Held]:
        replies = await self._connection.ask_all([("HMGET", person.key, "n", _LOG) for person in people.values()])
        held = []
        for (user_id, person), (tokens, sealed) in zip(people.items(), replies, strict=True):
            if sealed is None:
                held.append(_Held(b"", None))
            elif tokens is None:
                raise CorruptStore("a history has lost the tokens of its writes: the store's data is damaged")
            else:
                record = log_from_bytes(user_id, self._opened(person, _LOG, sealed))
                held.append(_Held(tokens[:TOKEN_BYTES], record))
        return held

    async def _ids(self, some: Sequence[Person], unreadable: Unreadable) -> dict[Person, str]:
        """The ids of those of these people who have a history."""
        replies = await self._connection.ask_all([("HGET", person.key, _ID) for person in some], at_once=1000)
        ids = {}
        for person, sealed in zip(some, replies, strict=True):
            if sealed is not None:
                with unreadable.left_out(person.pseudonym):
                    ids[person] = self._opened(person, _ID, sealed).decode()
        return ids

    def _sealed(self, person: Person, record: PersonRecord) -> list[Argument]:
        contents = {
            _ID: record.user_id.encode(),
            _LOG: log_to_bytes(record),
            MET: met_to_bytes(person_record.met(record, self._weights)),
        }
        fields: list[Argument] = []
        for field, content in contents.items():
            fields += [field, self._people.ring.seal(person.pseudonym, field.encode(), content)]
        return fields

    def _opened(self, person: Person, field: str, sealed: bytes) -> bytes:
        return self._people.ring.open(person.pseudonym, field.encode(), sealed)

    def _contended(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"others wrote for the same person {_ROUNDS} times in a row in the Redis at {self._connection.place}"
        )
