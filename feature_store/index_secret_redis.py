"""The secret of a store in Redis: in the store's header, a hash: format → 1, index → the secret, sealed for nobody.

A Redis that keeps nothing on a disk forgets the header when it restarts, while its stores stay open. What they wrote
from then on would be found by nobody who opens them next: so they look again every few seconds.
"""

import time

from feature_store.encryption import KeyRing
from feature_store.errors import CorruptStore, StoreError, StoreUnavailable
from feature_store.index_secret import IndexSecret, new_secret, opened, resealed
from feature_store.redis_connection import RedisConnection
from feature_store.redis_scripts import MAKE, REPLACE

_FORMAT = b"1"
_LOOK_AGAIN = 5.0  # seconds: a server that lost its memory is noticed after that time at the latest


class WatchedSecret:
    """The secret of an open store, which is looked at again and again; `watched_secret` makes it.

    index: None where the server could not be reached yet: who asks first once it can be finds the secret.
    """

    def __init__(
        self, connection: RedisConnection, header: bytes, keys: KeyRing, anybody: str, index: IndexSecret | None
    ) -> None:
        self._connection, self._header, self._keys, self._anybody = connection, header, keys, anybody
        self._index = index
        self._looked = time.monotonic()

    @property
    def secret(self) -> bytes:
        """It never changes while the store is open; raises `StoreUnavailable` where nobody has found it yet."""
        if self._index is None:
            raise StoreUnavailable(f"the Redis at {self._connection.place} could not be reached yet")
        return self._index.secret

    async def look_again(self) -> None:
        """`look`, where that was not done for a few seconds."""
        if self._index is None or time.monotonic() - self._looked > _LOOK_AGAIN:
            await self.look()

    async def look(self) -> None:
        """Look whether the store is still the one that was opened; one that is empty gets its header back.

        Raises:
            StoreUnavailable: the server has been emptied since, and holds another store now.
        """
        if self._index is None:
            self._index = await redis_secret(self._connection, self._header, self._keys, self._anybody)
            self._looked = time.monotonic()
            return
        index = await kept_secret(self._connection, self._header, self._keys, self._index)
        if index.secret != self._index.secret:
            raise StoreUnavailable(
                f"the Redis at {self._connection.place} was emptied and holds another store now; open it anew"
            )
        self._index, self._looked = index, time.monotonic()


async def watched_secret(
    connection: RedisConnection, header: bytes, keys: KeyRing, anybody: str, *, may_be_away: bool = False
) -> WatchedSecret:
    """The secret as `redis_secret` has it, for as long as the store is open.

    may_be_away: a server that cannot be reached now is no error; who asks for the secret gets it once it can be.
    """
    index: IndexSecret | None = None
    try:
        index = await redis_secret(connection, header, keys, anybody)
    except StoreUnavailable:
        if not may_be_away:
            raise
    return WatchedSecret(connection, header, keys, anybody, index)


async def redis_secret(connection: RedisConnection, header: bytes, keys: KeyRing, anybody: str) -> IndexSecret:
    """The secret of the store with that header, which is made where there is none.

    anybody: the pattern of the keys of people, who are found by the secret.

    Raises:
        StoreError: a later Hearth wrote it.
        CorruptStore: there are people and no header, or a damaged one.
        UnknownKey: it is sealed with a key that the ring does not have.
        StoreUnavailable: the server cannot be reached, or does not let us.
    """
    if not await connection.ask("EXISTS", header):
        async for some in connection.keys(anybody):
            if some:
                raise CorruptStore(
                    f"the Redis at {connection.place} holds people and no header {header.decode()}, without which "
                    f"nobody is found; was it evicted? maxmemory-policy should be noeviction"
                )
    return await kept_secret(connection, header, keys, new_secret(keys))


async def kept_secret(connection: RedisConnection, header: bytes, keys: KeyRing, ours: IndexSecret) -> IndexSecret:
    """The secret that is there; where there is none, ours, which is put there. Raises as `redis_secret`."""
    version, sealed = (await connection.write(MAKE, header, "format", _FORMAT, "index", ours.sealed)).reply
    if version != _FORMAT:
        written = "nothing" if version is None else repr(version.decode(errors="replace"))
        raise StoreError(
            f"the store of {header.decode()} in the Redis at {connection.place} has format {written}; "
            f"this Hearth knows {_FORMAT.decode()}"
        )
    if sealed is None:
        raise CorruptStore(f"the header {header.decode()} of a store in the Redis at {connection.place} has no index")
    return ours if sealed == ours.sealed else opened(keys, sealed)


async def reseal_redis_secret(connection: RedisConnection, header: bytes, keys: KeyRing) -> int:
    """Seal it with the newest key; how many values that were."""
    sealed = await connection.ask("HGET", header, "index")
    fresh = None if sealed is None else resealed(keys, sealed)
    return 0 if fresh is None else int((await connection.write(REPLACE, header, "index", sealed, fresh)).reply)
