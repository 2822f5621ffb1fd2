"""Items in Redis, for the servers of an edge cell: one script a change, so that each is whole.

Keys, of each vertical in one slot of a Cluster:

    hearth:items:verticals            set of the names of verticals
    hearth:items:{news}:contents      hash: id -> the item as JSON
    hearth:items:{news}:changes       sorted set: id by the number of its latest change; of what was removed too
    hearth:items:{news}:removals      sorted set: the ids of `changes` that were removed
    hearth:items:{news}:numbers       hash: version, floor (the version up to which removals are forgotten)
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from feature_store.errors import CorruptStore
from feature_store.item_schemas import StoredItem, item_from_bytes, item_to_bytes
from feature_store.item_store import KEPT_REMOVALS, START, Changes, Mark, one_vertical_of, require_few, require_vertical
from feature_store.lua import script
from feature_store.redis_connection import RedisConnection, connected
from feature_store.redis_settings import RedisSettings

_VERTICALS = "hearth:items:verticals"

_KEYS = """
local contents, changes = KEYS[1] .. ':contents', KEYS[1] .. ':changes'
local removals, numbers = KEYS[1] .. ':removals', KEYS[1] .. ':numbers'
"""
# id, content, id, content ...
_UPSERT = script(
    _KEYS
    + """
local changed = {}
for i = 1, #ARGV, 2 do
  if redis.call('HGET', contents, ARGV[i]) ~= ARGV[i + 1] then changed[#changed + 1] = i end
end
if #changed == 0 then return 0 end
local version = redis.call('HINCRBY', numbers, 'version', #changed) - #changed
for k, i in ipairs(changed) do
  redis.call('HSET', contents, ARGV[i], ARGV[i + 1])
  redis.call('ZADD', changes, version + k, ARGV[i])
  redis.call('ZREM', removals, ARGV[i])
end
return #changed
"""
)
# how many removals are kept, id, id ...
_REMOVE = script(
    _KEYS
    + """
local removed = 0
for i = 2, #ARGV do
  if redis.call('HDEL', contents, ARGV[i]) == 1 then
    local version = redis.call('HINCRBY', numbers, 'version', 1)
    redis.call('ZADD', changes, version, ARGV[i])
    redis.call('ZADD', removals, version, ARGV[i])
    removed = removed + 1
  end
end
local over = redis.call('ZCARD', removals) - tonumber(ARGV[1])
if over > 0 then
  local first = redis.call('ZPOPMIN', removals, over)
  for i = 1, #first, 2 do redis.call('ZREM', changes, first[i]) end
  redis.call('HSET', numbers, 'floor', first[#first])
end
return removed
"""
)
# version, most, floor -> version, floor, whether there is more, whether anew, the ids put, the ids removed
_CHANGES = script(
    _KEYS
    + """
local since, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local latest = tonumber(redis.call('HGET', numbers, 'version') or '0')
local floor = tonumber(redis.call('HGET', numbers, 'floor') or '0')
local anew = 0
local began = tonumber(ARGV[3])
if (since > 0 and math.max(since, began) < floor) or since > latest then since, anew = 0, 1 end
if since == 0 then began = floor end
local all = since == 0
local put, gone, more, last, seen = {}, {}, 0, since, since
while true do
  local after = '(' .. string.format('%.0f', seen)
  local page = redis.call('ZRANGEBYSCORE', changes, after, '+inf', 'WITHSCORES', 'LIMIT', 0, most + 1)
  for i = 1, #page, 2 do
    local there = redis.call('HEXISTS', contents, page[i]) == 1
    if there or not all then
      if #put + #gone == most then more = 1 break end
      local to = there and put or gone
      to[#to + 1] = page[i]
      last = tonumber(page[i + 1])
    end
    seen = tonumber(page[i + 1])
  end
  if more == 1 or #page < 2 * (most + 1) then break end
end
if more == 0 then last = latest end
return {string.format('%.0f', last), string.format('%.0f', began), more, anew, put, gone}
"""
)


@asynccontextmanager
async def open_redis_items(
    settings: RedisSettings, kept_removals: int = KEPT_REMOVALS
) -> AsyncIterator["RedisItemStore"]:
    """The items of that Redis. Nothing is sent before the first method is called."""
    async with connected(settings) as connection:
        yield RedisItemStore(connection, kept_removals)


class RedisItemStore:
    """Items in Redis. Each method is one round trip but `upsert`, which is two, and `verticals`."""

    def __init__(self, connection: RedisConnection, kept_removals: int = KEPT_REMOVALS) -> None:
        self._connection, self._kept_removals = connection, kept_removals

    async def upsert(self, items: Sequence[StoredItem]) -> int:
        """See `ItemStore.upsert`. Where a reply was lost and the script ran again, the number is too small."""
        if not items:
            return 0
        vertical = one_vertical_of(items)
        contents = {item.item_id: item_to_bytes(item) for item in items}
        arguments = [part for pair in contents.items() for part in pair]
        await self._connection.ask("SADD", _VERTICALS, vertical)  # first: a name without items harms nobody
        answer = await self._connection.write(_UPSERT, _key(vertical), *arguments)
        return int(answer.reply)

    async def get_many(self, vertical: str, item_ids: Sequence[str]) -> list[StoredItem | None]:
        """See `ItemStore.get_many`."""
        key = _key(vertical)
        require_few(len(item_ids))
        if not item_ids:
            return []
        found = await self._connection.ask("HMGET", key + b":contents", *item_ids)
        return [None if content is None else item_from_bytes(content) for content in found]

    async def remove(self, vertical: str, item_ids: Sequence[str]) -> int:
        """See `ItemStore.remove`. Where a reply was lost and the script ran again, the number is too small."""
        key = _key(vertical)
        require_few(len(item_ids))
        return int((await self._connection.write(_REMOVE, key, self._kept_removals, *item_ids)).reply)

    async def count(self, vertical: str) -> int:
        """See `ItemStore.count`."""
        return int(await self._connection.ask("HLEN", _key(vertical) + b":contents"))

    async def version(self, vertical: str) -> int:
        """See `ItemStore.version`."""
        return int(await self._connection.ask("HGET", _key(vertical) + b":numbers", "version") or 0)

    async def changes_since(self, vertical: str, mark: Mark = START, most: int = 1000) -> Changes:
        """See `ItemStore.changes_since`."""
        answer = await self._connection.write(_CHANGES, _key(vertical), mark.version, most, mark.floor)
        last, floor, more, anew, put, gone = answer.reply
        return Changes(Mark(int(last), int(floor)), _ids(put), _ids(gone), more=bool(more), anew=bool(anew))

    async def verticals(self) -> list[str]:
        """See `ItemStore.verticals`."""
        names = sorted(_ids(await self._connection.ask("SMEMBERS", _VERTICALS)))
        return [name for name in names if await self.count(name)]


def _key(vertical: str) -> bytes:
    """What the keys of the vertical begin with; in braces, what says their slot."""
    require_vertical(vertical)
    return f"hearth:items:{{{vertical}}}".encode()


def _ids(written: Sequence[bytes]) -> tuple[str, ...]:
    try:
        return tuple(map(bytes.decode, written))
    except UnicodeDecodeError as error:
        raise CorruptStore(f"an id in Redis is not text in UTF-8: {error}") from error
