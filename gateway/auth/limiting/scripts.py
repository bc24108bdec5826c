"""What Redis runs for redis.py, each script as one step. They say what memory.py says, in Lua.

Time is the server's, so that replicas whose clocks differ agree on it. A counter is a hash of buckets (and the second
in which a quota was `seeded`), slots are a sorted set of holders by the second in which their lease runs out.
"""

TAKE = """
local asked = cjson.decode(ARGV[1])
local now = tonumber(redis.call('TIME')[1])
local granted, counts, held = 1, {}, {}
for i, charge in ipairs(asked.charges) do
  local rolling = charge.period == 0
  local since = rolling and now - charge.seconds or charge.period
  local used, newest, seeded, buckets = 0, 0, rolling and 1 or 0, {}
  local row = redis.call('HGETALL', KEYS[i])
  for j = 1, #row, 2 do
    local number, amount = tonumber(row[j]), tonumber(row[j + 1])
    if number and number < since then
      redis.call('HDEL', KEYS[i], row[j])
    elseif number then
      used = used + amount
      newest = math.max(newest, number)
      if number == charge.period then seeded = 1 end
      table.insert(buckets, {number, amount})
    end
  end
  local excess, wait = used + charge.amount - charge.limit, 0
  if excess > 0 then
    wait = 1
    if rolling then
      table.sort(buckets, function(a, b) return a[1] < b[1] end)
      for _, bucket in ipairs(buckets) do
        if excess <= 0 then break end
        excess = excess - bucket[2]
        wait = bucket[1] + charge.seconds + 1 - now
      end
      if excess > 0 then wait = charge.seconds + 1 end
    end
  end
  if wait > 0 or seeded == 0 then granted = 0 end
  local reset = rolling and newest > 0 and newest + charge.seconds + 1 - now or 0
  table.insert(counts, {used, wait, reset, seeded})
end
for i, slot in ipairs(asked.slots) do
  local key = KEYS[#asked.charges + i]
  redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. now)
  held[i] = redis.call('ZCARD', key)
  if held[i] >= slot.limit then granted = 0 end
end
if granted == 1 then
  for i, charge in ipairs(asked.charges) do
    local rolling = charge.period == 0
    redis.call('HINCRBY', KEYS[i], rolling and now or charge.period, charge.amount)
    redis.call('EXPIRE', KEYS[i], rolling and charge.seconds + 2 or charge.expires_in)
  end
  for i, slot in ipairs(asked.slots) do
    local key = KEYS[#asked.charges + i]
    redis.call('ZADD', key, now + asked.lease, asked.holder)
    redis.call('EXPIRE', key, asked.lease + 1)
  end
end
return {granted, now, counts, held}
"""

SEED = """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then
  redis.call('HSET', KEYS[1], 'seeded', redis.call('TIME')[1])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""

SETTLE = """
local asked = cjson.decode(ARGV[1])
local now = tonumber(redis.call('TIME')[1])
for i, charge in ipairs(asked.charges) do
  local rolling = charge.period == 0
  local added = charge.amount > 0
  local bucket = rolling and (added and now or charge.at) or charge.period
  -- What is gone is not counted any more, and must not come back as less than nothing. Nor can anything be given back
  -- to a quota that was forgotten and seeded anew since it was taken: it is not in there.
  local seeded = tonumber(redis.call('HGET', KEYS[i], 'seeded') or 0)
  local there = redis.call('HEXISTS', KEYS[i], bucket) == 1 and (added or charge.at >= seeded)
  if there or (added and rolling) then
    redis.call('HINCRBY', KEYS[i], bucket, charge.amount)
    if rolling then redis.call('EXPIRE', KEYS[i], charge.seconds + 2) end
  end
end
for i = #asked.charges + 1, #KEYS do
  redis.call('ZREM', KEYS[i], asked.holder)
end
"""

RENEW = """
local now = tonumber(redis.call('TIME')[1])
for i, key in ipairs(KEYS) do
  redis.call('ZADD', key, now + tonumber(ARGV[1]), ARGV[i + 1])
  redis.call('EXPIRE', key, tonumber(ARGV[1]) + 1)
end
"""
