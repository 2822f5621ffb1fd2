"""The secret of a store in Redis: in the store's header, a hash: format → 1, index → the secret, sealed for nobody."""

from feature_store.encryption import KeyRing
from feature_store.errors import CorruptStore, StoreError
from feature_store.index_secret import IndexSecret, new_secret, opened, resealed
from feature_store.redis_connection import RedisConnection
from feature_store.redis_scripts import MAKE, REPLACE

_FORMAT = b"1"


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
