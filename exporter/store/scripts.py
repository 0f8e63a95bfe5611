"""What Redis runs for us, in Lua. A script runs whole or, when a command in it fails, up to there.

Reads come first, then the marker: a Redis that is full refuses that, as the first write, and so
refuses the script before it has changed anything.
"""

# KEYS lease, marker  ARGV lease, its time to live in ms, epoch so far  ->  {holder or '', epoch}
# Extending writes nothing new, so a full Redis does not cost us the lease.
ACQUIRE = """
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {'', tonumber(ARGV[3])}
end
if holder then return {holder, tonumber(ARGV[3])} end
local last = tonumber(redis.call('HGET', KEYS[2], 'epoch')) or 0
local epoch = math.max(last, tonumber(ARGV[3])) + 1
redis.call('HSET', KEYS[2], 'epoch', epoch)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'', epoch}
"""

# KEYS lease  ARGV lease
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return ''
"""

# KEYS workers, quarantine  ARGV fields
QUARANTINE = """
for _, field in ipairs(ARGV) do
  local text = redis.call('HGET', KEYS[1], field)
  if text then
    redis.call('HSET', KEYS[2], field, text)
    redis.call('HDEL', KEYS[1], field)
  end
end
return ''
"""

# KEYS workers, transitions, marker, lease, actions
# ARGV lease, its time to live in ms, token, epoch, number of the last save that was confirmed,
#      transitions to keep, JSON array of forgotten ids, JSON array of ids, their records one a line,
#      JSON array of transitions, each an array of eight texts, JSON array of actions, name and state in turns
# ->   {holder or '', memory, number of this save}
# A record is a single line because JSON has no line break inside of a text.
# The marker holds who saved last, how often, and how many workers there were afterwards: whatever
# else changed the hash (a flush, an eviction, an older snapshot, a hand) shows in one of them.
SAVE = """
local holder = redis.call('GET', KEYS[4])
if holder and holder ~= ARGV[1] then return {holder, '', 0} end

local mark = redis.call('HMGET', KEYS[3], 'owner', 'saves', 'workers')
local ours = mark[1] == ARGV[3]
local saves = ours and tonumber(mark[2]) or 0
local confirmed = tonumber(ARGV[5])
local memory = 'whole'
if confirmed > 0 then
  if not ours then memory = 'nothing'
  elseif saves < confirmed or tonumber(mark[3]) ~= redis.call('HLEN', KEYS[1]) then memory = 'behind' end
end
saves = math.max(saves, confirmed) + 1

redis.call('HSET', KEYS[3], 'owner', ARGV[3], 'epoch', ARGV[4], 'saves', saves)
if holder then redis.call('PEXPIRE', KEYS[4], ARGV[2])
else redis.call('SET', KEYS[4], ARGV[1], 'PX', ARGV[2]) end

local forgotten = cjson.decode(ARGV[7])
if #forgotten > 0 then redis.call('HDEL', KEYS[1], unpack(forgotten)) end
local fields = {}
local ids = cjson.decode(ARGV[8])
for text in string.gmatch(ARGV[9], '[^\\n]+') do
  table.insert(fields, ids[#fields / 2 + 1])
  table.insert(fields, text)
end
if #fields > 0 then redis.call('HSET', KEYS[1], unpack(fields)) end
redis.call('HSET', KEYS[3], 'workers', redis.call('HLEN', KEYS[1]))

local actions = cjson.decode(ARGV[11])
if #actions > 0 then redis.call('HSET', KEYS[5], unpack(actions)) end

for _, one in ipairs(cjson.decode(ARGV[10])) do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], '*', 'worker_id', one[1], 'worker', one[2],
    'group', one[3], 'from', one[4], 'to', one[5], 'reason', one[6], 'at', one[7], 'timestamp', one[8])
end
return {'', memory, saves}
"""
