"""The ledger in the Redis of a cell, beside the counters.

    hearth:offers:<recommendation>   hash: offer:<ad>, seen:<ad>, clicked:<ad>, withdrawn:<ad>; gone after two days
    hearth:ad-counts:<ad>            hash: shows, clicks

A click is a click and a show; counts of an ad lie elsewhere in a cluster than the offer, and are counted after it.
"""

from collections.abc import Sequence

from feature_store.lua import script
from feature_store.redis_connection import RedisConnection
from feature_store.redis_connections import Command
from serving.ads.ledger import KEPT_SECONDS, Counts, Offer, Seen

_OFFERS, _COUNTS = b"hearth:offers:", b"hearth:ad-counts:"
_SEEN: tuple[Seen, ...] = ("unknown", "known", "new", "late")

# seconds, then each ad and its offer
_OFFER = script(
    """
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], 'offer:' .. ARGV[i], ARGV[i + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
"""
)
# ad -> place in _SEEN
_SEE = script(
    """
if redis.call('HEXISTS', KEYS[1], 'offer:' .. ARGV[1]) == 0 then return 0 end
if redis.call('HSETNX', KEYS[1], 'seen:' .. ARGV[1], '1') == 0 then return 1 end
return 2 + redis.call('HEXISTS', KEYS[1], 'withdrawn:' .. ARGV[1])
"""
)
# ad -> the offer, whether it is the first click
_CLICK = script(
    """
local offer = redis.call('HGET', KEYS[1], 'offer:' .. ARGV[1])
if not offer then return {} end
return {offer, redis.call('HSETNX', KEYS[1], 'clicked:' .. ARGV[1], '1')}
"""
)
# ad, its offer -> whether it was known
_REFUSE = script(
    """
if redis.call('HEXISTS', KEYS[1], 'offer:' .. ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'offer:' .. ARGV[1], ARGV[2])
return 1
"""
)
# ad -> whether nobody has said that it was seen
_WITHDRAW = script(
    """
if redis.call('HEXISTS', KEYS[1], 'seen:' .. ARGV[1]) == 1 then return 0 end
local offered = redis.call('HEXISTS', KEYS[1], 'offer:' .. ARGV[1]) == 1
if offered then redis.call('HSET', KEYS[1], 'withdrawn:' .. ARGV[1], '1') end
return 1
"""
)
# field
_COUNT = script("return redis.call('HINCRBY', KEYS[1], ARGV[1], 1)")


class RedisLedger:
    """Hashes. A command whose reply is lost is sent again: then the counts may be off by one; money is not in them."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def offer(self, recommendation_id: str, offers: Sequence[Offer]) -> None:
        """See `Ledger.offer`. One round trip."""
        told = [part for offer in offers for part in (offer.ad, offer.model_dump_json(exclude_defaults=True))]
        await self._connection.write(_OFFER, _offers(recommendation_id), KEPT_SECONDS, *told)

    async def see(self, recommendation_id: str, ad: str) -> Seen:
        """See `Ledger.see`."""
        seen = _SEEN[(await self._connection.write(_SEE, _offers(recommendation_id), ad)).reply]
        if seen in {"new", "late"}:
            await self._connection.write(_COUNT, _counts(ad), "shows")
        return seen

    async def click(self, recommendation_id: str, ad: str) -> Offer | None:
        """See `Ledger.click`."""
        found = (await self._connection.write(_CLICK, _offers(recommendation_id), ad)).reply
        if not found:
            return None
        await self.see(recommendation_id, ad)
        if found[1]:
            await self._connection.write(_COUNT, _counts(ad), "clicks")
        return Offer.model_validate_json(found[0])

    async def refuse(self, recommendation_id: str, offer: Offer) -> None:
        """See `Ledger.refuse`."""
        told = (offer.ad, offer.refused().model_dump_json(exclude_defaults=True))
        await self._connection.write(_REFUSE, _offers(recommendation_id), *told)

    async def offered(self, shows: Sequence[tuple[str, str]]) -> list[bool]:
        """See `Ledger.offered`. One round trip for some hundreds."""
        asked: list[Command] = [("HEXISTS", _offers(reply), f"offer:{ad}") for reply, ad in shows]
        return [bool(found) for found in await self._connection.ask_all(asked)]

    async def withdraw(self, shows: Sequence[tuple[str, str]]) -> list[bool]:
        """See `Ledger.withdraw`. One round trip."""
        runs: list[Command] = [(_offers(recommendation_id), ad) for recommendation_id, ad in shows]
        return [bool(answer.reply) for answer in await self._connection.write_all(_WITHDRAW, runs)]

    async def counts(self, ads: Sequence[str]) -> list[Counts]:
        """See `Ledger.counts`. One round trip for some hundreds."""
        asked: list[Command] = [("HMGET", _counts(ad), "shows", "clicks") for ad in ads]
        return [Counts(*(int(number or 0) for number in found)) for found in await self._connection.ask_all(asked)]


def _offers(recommendation_id: str) -> bytes:
    return _OFFERS + recommendation_id.encode()


def _counts(ad: str) -> bytes:
    return _COUNTS + ad.encode()
