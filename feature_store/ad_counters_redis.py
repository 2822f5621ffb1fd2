"""Counters of ads in the Redis of a cell: one script decides and counts, and nothing comes between.

    hearth:ads:{<campaign>}:spent             hash: total, and by day, in micros
    hearth:ads:{<campaign>}:costs:<day>       hash: impression id -> micros, 0 where refunded; gone after two more days
    hearth:ads:{<pseudonym>}                  sorted set: pseudonyms of the ads the person saw, by when they expire
    hearth:ads:{<pseudonym>}:<ad's pseudonym> hash: ad, its id, sealed; pseudonym of an impression -> when
    hearth:ads:header                         hash: format; index, the secret that pseudonyms are made with, sealed

Times of shows are not sealed, as the script has to compare them; whose they are, and of what, nobody sees. All servers
go by the clock of Redis, which is asked each minute, unless they are given another.
"""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, tzinfo
from urllib.parse import quote

from feature_store.ad_counters import (
    KEPT_DAYS,
    Budget,
    Cap,
    Clock,
    OneShow,
    Show,
    ShowReason,
    Spend,
    SpendReason,
    Spent,
    bounds,
    day_of,
    days_known,
    exported,
    require_show,
    require_spend,
)
from feature_store.ad_counters_sealing import ShowSealing
from feature_store.encryption import KeyRing
from feature_store.index_secret_redis import WatchedSecret, reseal_redis_secret, watched_secret
from feature_store.lua import fields, script
from feature_store.redis_connection import RedisConnection, connected
from feature_store.redis_connections import Argument, Command
from feature_store.redis_rewriting import RedisRewriting, rewriting_of
from feature_store.redis_scripts import REPLACE
from feature_store.redis_settings import RedisSettings
from feature_store.stores import JsonObject
from feature_store.unreadable import Unreadable

_HEADER, _PERSON = b"hearth:ads:header", b"hearth:ads:{"
_SHOWS_OF = "hearth:ads:{*}:" + "[0-9a-f]" * 32  # anybody
_LOOK_AGAIN = 60.0  # seconds between two looks at the clock of Redis
_KEPT_SECONDS = (KEPT_DAYS + 2) * 86400  # of an impression's cost: its own day, those kept, and one for any zone
_SPENDS: tuple[SpendReason, ...] = ("new", "known", "refunded", "total-budget", "daily-budget")
_SHOWS: tuple[ShowReason, ...] = ("new", "known", "cap")

_SPENT = """
local spent, today = KEYS[1] .. ':spent', ARGV[1]
local function costs(day) return KEYS[1] .. ':costs:' .. day end
local function ended(code)
  return {code, redis.call('HGET', spent, 'total') or '0', redis.call('HGET', spent, today) or '0'}
end
"""
# today, impression, micros, total budget, daily budget, seconds that a cost is kept, earlier days that are known
# -> place in _SPENDS, total, today
_SPEND = script(
    _SPENT
    + """
local impression, micros = ARGV[2], tonumber(ARGV[3])
local known = redis.call('HGET', costs(today), impression)
for i = 7, #ARGV do known = known or redis.call('HGET', costs(ARGV[i]), impression) end
if known then return ended(known == '0' and 2 or 1) end
if tonumber(redis.call('HGET', spent, 'total') or '0') + micros > tonumber(ARGV[4]) then return ended(3) end
if tonumber(redis.call('HGET', spent, today) or '0') + micros > tonumber(ARGV[5]) then return ended(4) end
if redis.call('HEXISTS', spent, today) == 0 then
  for _, day in ipairs(redis.call('HKEYS', spent)) do
    if day ~= 'total' and day < ARGV[#ARGV] then redis.call('HDEL', spent, day) end
  end
end
redis.call('HINCRBY', spent, 'total', ARGV[3])
redis.call('HINCRBY', spent, today, ARGV[3])
redis.call('HSET', costs(today), impression, ARGV[3])
redis.call('EXPIRE', costs(today), ARGV[6])
return ended(0)
"""
)
# today, impression, earlier days that are known -> micros
_REFUND = script(
    _SPENT
    + """
for i = 1, #ARGV do
  local day = ARGV[i]
  if i ~= 2 then
    local micros = redis.call('HGET', costs(day), ARGV[2])
    if micros == '0' then return micros end
    if micros then
      redis.call('HINCRBY', spent, 'total', '-' .. micros)
      redis.call('HINCRBY', spent, day, '-' .. micros)
      redis.call('HSET', costs(day), ARGV[2], '0')
      return micros
    end
  end
end
return '0'
"""
)
# ad, impression, most, window, now, the ad sealed -> place in _SHOWS, times
_SHOW = script(
    """
local key, impression = KEYS[1] .. ':' .. ARGV[1], ARGV[2]
local window, now = tonumber(ARGV[4]), tonumber(ARGV[5])
local times, known = 0, false
local held = redis.call('HGETALL', key)
for i = 1, #held, 2 do
  if held[i] ~= 'ad' then
    if tonumber(held[i + 1]) <= now - window then
      redis.call('HDEL', key, held[i])
    else
      times = times + 1
      known = known or held[i] == impression
    end
  end
end
if known then return {1, times} end
if times >= tonumber(ARGV[3]) then return {2, times} end
redis.call('HSET', key, 'ad', ARGV[6], impression, ARGV[5])
redis.call('EXPIRE', key, math.ceil(window) + 1)
-- Later than the hash itself: what is still there can be found, for an erasure.
redis.call('ZADD', KEYS[1], string.format('%.0f', now + window + 60), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now))
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('EXPIRE', KEYS[1], math.max(1, math.ceil(tonumber(last[2]) - now)))
return {0, times + 1}
"""
)
# ad, impression -> whether it was there
_TAKE_BACK = script(
    """
local key = KEYS[1] .. ':' .. ARGV[1]
local taken = redis.call('HDEL', key, ARGV[2])
if redis.call('HLEN', key) <= 1 then
  redis.call('DEL', key)
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return taken
"""
)
# -> nothing is left; what was: each ad's hash
_DELETE = script(
    """
local gone = {}
for _, ad in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local key = KEYS[1] .. ':' .. ad
  gone[#gone + 1] = redis.call('HGETALL', key)
  redis.call('DEL', key)
end
redis.call('DEL', KEYS[1])
return gone
"""
)


@asynccontextmanager
async def open_redis_counters(
    settings: RedisSettings, keys: KeyRing, *, clock: Clock | None = None, zone: tzinfo = UTC
) -> AsyncIterator["RedisAdCounters"]:
    """The counters of that Redis.

    clock: what time it is, the same for all who share the counters; that of Redis where there is none.
    zone: where a day begins; the same for all.
    """
    async with connected(settings) as connection:
        secret = await watched_secret(connection, _HEADER, keys, _SHOWS_OF)
        sealing = ShowSealing(keys, secret.secret)
        async with rewriting_of(connection, settings.rewrite_after) as rewriting:
            yield RedisAdCounters(connection, secret, sealing, rewriting, clock, zone)


class RedisAdCounters:
    """Counters in hashes. A command whose reply is lost is sent again, and not counted twice."""

    def __init__(
        self,
        connection: RedisConnection,
        secret: WatchedSecret,
        sealing: ShowSealing,
        rewriting: RedisRewriting,
        clock: Clock | None,
        zone: tzinfo,
    ) -> None:
        self._connection, self._secret, self._sealing, self._rewriting = connection, secret, sealing, rewriting
        self._clock, self._zone = clock, zone
        self._ahead = 0.0  # seconds that the clock of Redis is ahead of ours
        self._looked = -_LOOK_AGAIN  # when that was found out, by the clock that nobody sets

    async def try_spend(self, campaign: str, impression_id: str, micros: int, budget: Budget) -> Spend:
        """See `AdCounters.try_spend`. One round trip."""
        require_spend(campaign, impression_id, micros)
        total, daily = bounds(budget)
        today, *earlier = days_known(day_of(await self._now(), self._zone))
        arguments: list[Argument] = [today, impression_id, micros, total, daily, _KEPT_SECONDS, *earlier]
        code, *spent = (await self._connection.write(_SPEND, _campaign(campaign), *arguments)).reply
        reason = _SPENDS[code]
        return Spend(reason in {"new", "known"}, reason, *map(int, spent))

    async def refund(self, campaign: str, impression_id: str) -> int:
        """See `AdCounters.refund`. Where a reply was lost and the script ran again, it says 0."""
        today, *earlier = days_known(day_of(await self._now(), self._zone))
        answer = await self._connection.write(_REFUND, _campaign(campaign), today, impression_id, *earlier)
        return int(answer.reply)

    async def spent(self, campaign: str) -> Spent:
        """See `AdCounters.spent`."""
        today = day_of(await self._now(), self._zone)
        found = await self._connection.ask("HMGET", _campaign(campaign) + b":spent", "total", today)
        return Spent(*(int(value or 0) for value in found))

    async def try_show(self, person: str, cap: Cap, impression_id: str) -> Show:
        """See `AdCounters.try_show`. One round trip."""
        require_show(person, impression_id)
        await self._secret.look_again()
        sealing = self._sealing
        ad, impression = sealing.ad(person, cap.ad), sealing.impression(person, cap.ad, impression_id)
        sealed = sealing.seal(sealing.person(person), cap.ad)
        now = repr(await self._now())
        arguments = (ad.hex(), impression.hex(), cap.most, repr(cap.window), now, sealed)
        code, times = (await self._connection.write(_SHOW, self._person(person), *arguments)).reply
        return Show(counted=_SHOWS[code] != "cap", reason=_SHOWS[code], times=times)

    async def take_back_shows(self, shows: Sequence[OneShow]) -> list[bool]:
        """See `AdCounters.take_back_shows`. Where a reply was lost and the script ran again, it says False.

        One round trip; each show is a step of its own.
        """
        await self._secret.look_again()
        sealing = self._sealing
        runs: list[Command] = [
            (self._person(person), sealing.ad(person, ad).hex(), sealing.impression(person, ad, impression_id).hex())
            for person, ad, impression_id in shows
        ]
        return [bool(answer.reply) for answer in await self._connection.write_all(_TAKE_BACK, runs)]

    async def shown(self, person: str, caps: Sequence[Cap]) -> list[int]:
        """See `AdCounters.shown`."""
        await self._secret.look_again()
        key, now = self._person(person), await self._now()
        asked = [("HGETALL", key + b":" + self._sealing.ad(person, cap.ad).hex().encode()) for cap in caps]
        found = map(fields, await self._connection.ask_all(asked))
        return [sum(at > now - cap.window for at in _times(held)) for cap, held in zip(caps, found, strict=True)]

    async def delete(self, user_id: str) -> int:
        """See `AdCounters.delete`. How long the bytes stay in Redis's files: `RedisSettings.rewrite_after`."""
        await self._secret.look_again()
        person = self._person(user_id)
        if not await self._connection.ask("EXISTS", person):
            return 0
        async with self._rewriting.erasing():
            gone = (await self._connection.write(_DELETE, person)).reply
        return sum(max(0, len(held) // 2 - 1) for held in gone)

    async def finish_erasures(self) -> bool:
        """As `RedisEventStore.finish_erasures`, for all that was erased in this Redis."""
        return await self._rewriting.finish()

    async def export(self, user_id: str) -> JsonObject:
        """See `AdCounters.export`."""
        await self._secret.look_again()
        key, person = self._person(user_id), self._sealing.person(user_id)
        ads = await self._connection.ask("ZRANGE", key, 0, -1)
        found = map(fields, await self._connection.ask_all([("HGETALL", key + b":" + ad) for ad in ads]))
        shows = [(self._sealing.open(person, held[b"ad"])[0], at) for held in found if held for at in _times(held)]
        return exported(user_id, shows)

    async def rotate(self) -> int:
        """See `AdCounters.rotate`."""
        await self._secret.look()
        unreadable = Unreadable()
        sealed = await reseal_redis_secret(self._connection, _HEADER, self._sealing.keys)
        async for keys in self._connection.keys(_SHOWS_OF):
            for key in keys:
                person = bytes.fromhex(key[len(_PERSON) : key.index(b"}")].decode())
                with unreadable.left_out(person):
                    sealed += await self._reseal(key, person)
        unreadable.tell(self._connection.place, f"{sealed} values of shows were sealed anew")
        return sealed

    async def _reseal(self, key: bytes, person: bytes) -> int:
        value = await self._connection.ask("HGET", key, "ad")
        fresh = None if value is None else self._sealing.resealed(person, value)
        return 0 if fresh is None else int((await self._connection.write(REPLACE, key, "ad", value, fresh)).reply)

    def _person(self, user_id: str) -> bytes:
        return _PERSON + self._sealing.person(user_id).hex().encode() + b"}"

    async def _now(self) -> float:
        if self._clock is not None:
            return self._clock()
        if time.monotonic() - self._looked >= _LOOK_AGAIN:
            (server,) = (await self._connection.masters())[:1]
            seconds, micros = await self._connection.ask_node(server, "TIME")
            self._ahead = int(seconds) + int(micros) / 1e6 - time.time()
            self._looked = time.monotonic()
        return time.time() + self._ahead


def _campaign(campaign: str) -> bytes:
    """What the keys of the campaign begin with; in braces, what says their slot, without any brace of its own."""
    return f"hearth:ads:{{c.{quote(campaign, safe='')}}}".encode()


def _times(held: Mapping[bytes, bytes]) -> list[float]:
    return [float(at) for name, at in held.items() if name != b"ad"]
