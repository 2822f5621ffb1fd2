"""The writes of the Redis store: Lua that runs whole on the server, each on the one hash of a person.

A hash has these fields:

    n           the tokens of the last 8 writes to the history, 8 bytes each, the newest first
    id          the person's id, sealed
    log         the history, sealed
    met         what follows from it for a reply, sealed
    e:<id>      the embedding for the checkpoint of that id, sealed
    o           the ids of those checkpoints as a JSON list, the one put last first

A script may run twice, as its reply may be lost. The tokens tell: a script that finds its own has run before.

Only commands of Redis 6.2 stand here. Each script names its key first, and `milliseconds` (0 for never) is when the
person is forgotten if nothing more is written.
"""

from feature_store.lua import script

TOKEN_BYTES = 8
KEPT_TOKENS = 8

_EXPIRE = """
local function expire(milliseconds)
  if milliseconds == '0' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], milliseconds) end
end
"""
_TOKENS = """
local tokens = redis.call('HGET', KEYS[1], 'n') or ''
local function is_known(token)
  for start = 1, #tokens, 8 do
    if string.sub(tokens, start, start + 7) == token then return true end
  end
  return false
end
"""

# expected token ('' for no history), own token, milliseconds, then fields and their values
# -> 1 written now or before, 0 somebody else wrote since
PUT_HISTORY = script(
    _EXPIRE
    + _TOKENS
    + f"""
if is_known(ARGV[2]) then return 1 end
if string.sub(tokens, 1, 8) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'n', string.sub(ARGV[2] .. tokens, 1, {TOKEN_BYTES * KEPT_TOKENS}), unpack(ARGV, 4))
expire(ARGV[3])
return 1
"""
)

# expected token -> 1 deleted, 0 somebody else wrote since, 2 there is no history
DELETE_HISTORY = script(
    _TOKENS
    + """
if tokens == '' then return 2 end
if string.sub(tokens, 1, 8) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'n', 'id', 'log', 'met')
return 1
"""
)

# The same for a history that cannot be read, whoever wrote it.
DROP_HISTORY = script("return redis.call('HDEL', KEYS[1], 'n', 'id', 'log', 'met')")

# checkpoint id, sealed embedding, how many checkpoints are kept, milliseconds
PUT_EMBEDDING = script(
    _EXPIRE
    + """
local order = {ARGV[1]}
for _, id in ipairs(cjson.decode(redis.call('HGET', KEYS[1], 'o') or '[]')) do
  if id ~= ARGV[1] then order[#order + 1] = id end
end
local gone = {}
while #order > tonumber(ARGV[3]) do gone[#gone + 1] = 'e:' .. table.remove(order) end
redis.call('HSET', KEYS[1], 'e:' .. ARGV[1], ARGV[2], 'o', cjson.encode(order))
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
expire(ARGV[4])
return 1
"""
)

# -> how many embeddings were deleted: all that there are, whatever the list of them says
DELETE_EMBEDDINGS = script(
    """
local gone = {'o'}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 2) == 'e:' then gone[#gone + 1] = field end
end
redis.call('HDEL', KEYS[1], unpack(gone))
return #gone - 1
"""
)

# field, old value, new value, and so on -> how many were replaced. When the person is forgotten stays as it was.
REPLACE = script(
    """
local replaced = 0
for place = 1, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[place]) == ARGV[place + 1] then
    redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 2])
    replaced = replaced + 1
  end
end
return replaced
"""
)

# field and value, and so on, which are set if the key is not there -> the values of those fields
MAKE = script(
    """
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], unpack(ARGV)) end
local fields = {}
for place = 1, #ARGV, 2 do fields[#fields + 1] = ARGV[place] end
return redis.call('HMGET', KEYS[1], unpack(fields))
"""
)

# value -> 1 the key had it and is gone, 0 it has another or is not there
REMOVE_IF = script(
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""
)

# Write as the others do, and leave nothing.
TRY = script(
    """
redis.call('HSET', KEYS[1], 'n', 'x')
redis.call('DEL', KEYS[1])
return 1
"""
)
