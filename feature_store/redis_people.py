"""People in the Redis of a cell: the keys they are known by, and the secret that these are made with.

    hearth:{<pseudonym>}    one person, a hash: see `feature_store.redis_scripts`
    hearth:header           format 1; index: the secret that pseudonyms are made with, sealed

The braces make a person's pseudonym what a cluster chooses the slot by.
"""

from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

from feature_store.encryption import KeyRing, pseudonym
from feature_store.errors import CorruptStore
from feature_store.index_secret_redis import WatchedSecret, reseal_redis_secret, watched_secret
from feature_store.redis_connection import RedisConnection
from feature_store.redis_connections import Argument, Command
from feature_store.redis_scripts import REPLACE
from feature_store.unreadable import Unreadable

HEADER = b"hearth:header"
_PERSON, _END = b"hearth:{", b"}"
_EVERYBODY = "hearth:{*}"


class Person(NamedTuple):
    """What a person is known by: 16 bytes, and the key of the hash."""

    pseudonym: bytes
    key: bytes


class RedisPeople:
    """Where each person is in one store, and what seals what is held of them; `open_people` makes it."""

    def __init__(self, connection: RedisConnection, ring: KeyRing, secret: WatchedSecret) -> None:
        self.connection, self.ring = connection, ring
        self._secret = secret

    async def person(self, user_id: str) -> Person:
        """Where that person is, or would be.

        Raises:
            StoreUnavailable: the server has been emptied since, and is another store now; or was never there.
        """
        await self._secret.look_again()
        return self.named(user_id)

    def named(self, user_id: str) -> Person:
        """The same, without looking whether the store is still there; raises `StoreUnavailable` if it never was."""
        return _person_of(pseudonym(self._secret.secret, user_id))

    async def everybody(self) -> AsyncIterator[list[Person]]:
        """All people that there are, some at a time, each once: 16 bytes of everyone are remembered meanwhile."""
        await self._secret.look()
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

    async def reseal(self, places: Mapping[Person, Mapping[str, bytes]], unreadable: Unreadable) -> int:
        """Seal those of these values anew that are not sealed with the newest key; how many were.

        One that changes meanwhile is not: whoever writes it seals it with a key of their own.

        places: of each person the fields of the hash, and what each is sealed as.
        unreadable: takes those of whom something cannot be opened.
        """
        held = await self.connection.ask_all([("HMGET", person.key, *names) for person, names in places.items()])
        runs: list[Command] = []
        for (person, names), values in zip(places.items(), held, strict=True):
            replacements: list[Argument] = []
            with unreadable.left_out(person.pseudonym):
                for (name, place), sealed in zip(names.items(), values, strict=True):
                    if sealed is not None and self.ring.key_id(sealed) != self.ring.newest:
                        content = self.ring.open(person.pseudonym, place, sealed)
                        replacements += [name, sealed, self.ring.seal(person.pseudonym, place, content)]
            if replacements:
                runs.append((person.key, *replacements))
        return sum(int(answer.reply) for answer in await self.connection.write_all(REPLACE, runs))


async def open_people(connection: RedisConnection, ring: KeyRing, *, may_be_away: bool = False) -> RedisPeople:
    """The people of a store, which is made where there is none; arguments and errors as `watched_secret` has them."""
    secret = await watched_secret(connection, HEADER, ring, _EVERYBODY, may_be_away=may_be_away)
    return RedisPeople(connection, ring, secret)


def _person_of(name: bytes) -> Person:
    return Person(name, _PERSON + name.hex().encode() + _END)


def _person_in(key: bytes) -> Person:
    try:
        return Person(bytes.fromhex(key[len(_PERSON) : -1].decode()), key)
    except ValueError:
        raise CorruptStore(f"a key that begins with {_PERSON.decode()} is none of this store") from None
