"""People in the Redis of a cell: the keys they are known by, and the secret that these are made with.

    hearth:{<pseudonym>}    one person, a hash: see `feature_store.redis_scripts`
    hearth:header           format 1; index: the secret that pseudonyms are made with, sealed

The braces make a person's pseudonym what a cluster chooses the slot by.
"""

import time
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

from feature_store.encryption import KeyRing, pseudonym
from feature_store.errors import CorruptStore, StoreUnavailable
from feature_store.index_secret import IndexSecret
from feature_store.index_secret_redis import kept_secret, redis_secret, reseal_redis_secret
from feature_store.redis_connection import Argument, Command, RedisConnection
from feature_store.redis_scripts import REPLACE

HEADER = b"hearth:header"
_PERSON, _END = b"hearth:{", b"}"
_EVERYBODY = "hearth:{*}"
_LOOK_AGAIN = 5.0  # seconds: a server that lost its memory is noticed after that time at the latest


class Person(NamedTuple):
    """What a person is known by: 16 bytes, and the key of the hash."""

    pseudonym: bytes
    key: bytes


class RedisPeople:
    """Where each person is in one store, and what seals what is held of them; `open_people` makes it.

    index: None where the server could not be reached yet: who asks first once it can be finds the secret.
    """

    def __init__(self, connection: RedisConnection, ring: KeyRing, index: IndexSecret | None) -> None:
        self.connection, self.ring = connection, ring
        self._index = index
        self._looked = time.monotonic()

    async def person(self, user_id: str) -> Person:
        """Where that person is, or would be.

        Raises:
            StoreUnavailable: the server has been emptied since, and is another store now. This is looked at every
                few seconds, as what is written for a pseudonym of the old secret would not be found any more.
        """
        if self._index is None or time.monotonic() - self._looked > _LOOK_AGAIN:
            await self._look()
        return self.named(user_id)

    def named(self, user_id: str) -> Person:
        """The same, without looking whether the store is still there; raises `StoreUnavailable` if it never was."""
        if self._index is None:
            raise StoreUnavailable(f"the Redis at {self.connection.place} could not be reached yet")
        return _person_of(pseudonym(self._index.secret, user_id))

    async def everybody(self) -> AsyncIterator[list[Person]]:
        """All people that there are, some at a time, each once: 16 bytes of everyone are remembered meanwhile."""
        await self._look()
        seen: set[bytes] = set()
        async for keys in self.connection.keys(_EVERYBODY):
            new = []
            for key in keys:
                person = _person_in(key)
                if person.pseudonym not in seen:
                    seen.add(person.pseudonym)
                    new.append(person)
            yield new

    async def rotate(self) -> int:
        """Seal the secret anew, if that is not done; how many values were."""
        return await reseal_redis_secret(self.connection, HEADER, self.ring)

    async def reseal(self, places: Mapping[Person, Mapping[str, bytes]]) -> int:
        """Seal those of these values anew that are not sealed with the newest key; how many were.

        One that changes meanwhile is not: whoever writes it seals it with a key of their own.

        places: of each person the fields of the hash, and what each is sealed as.
        """
        held = await self.connection.ask_all([("HMGET", person.key, *names) for person, names in places.items()])
        runs: list[Command] = []
        for (person, names), values in zip(places.items(), held, strict=True):
            replacements: list[Argument] = []
            for (name, place), sealed in zip(names.items(), values, strict=True):
                if sealed is not None and self.ring.key_id(sealed) != self.ring.newest:
                    content = self.ring.open(person.pseudonym, place, sealed)
                    replacements += [name, sealed, self.ring.seal(person.pseudonym, place, content)]
            if replacements:
                runs.append((person.key, *replacements))
        return sum(int(answer.reply) for answer in await self.connection.write_all(REPLACE, runs))

    async def _look(self) -> None:
        """Look whether the store is still the one that was opened; one that is empty gets its header back."""
        if self._index is None:
            self._index, self._looked = await _secret(self.connection, self.ring), time.monotonic()
            return
        index = await kept_secret(self.connection, HEADER, self.ring, self._index)
        if index.secret != self._index.secret:
            raise StoreUnavailable(
                f"the Redis at {self.connection.place} was emptied and holds another store now; open it anew"
            )
        self._index, self._looked = index, time.monotonic()


async def open_people(connection: RedisConnection, ring: KeyRing, *, may_be_away: bool = False) -> RedisPeople:
    """The people of a store, which is made where there is none; raises as `redis_secret`.

    may_be_away: a server that cannot be reached now is no error; each method raises `StoreUnavailable` until it can.
    """
    try:
        return RedisPeople(connection, ring, await _secret(connection, ring))
    except StoreUnavailable:
        if not may_be_away:
            raise
        return RedisPeople(connection, ring, None)


async def _secret(connection: RedisConnection, ring: KeyRing) -> IndexSecret:
    return await redis_secret(connection, HEADER, ring, _EVERYBODY)


def _person_of(name: bytes) -> Person:
    return Person(name, _PERSON + name.hex().encode() + _END)


def _person_in(key: bytes) -> Person:
    try:
        return Person(bytes.fromhex(key[len(_PERSON) : -1].decode()), key)
    except ValueError:
        raise CorruptStore(f"a key that begins with {_PERSON.decode()} is none of this store") from None
