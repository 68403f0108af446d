"""Lua scripts, which a Redis server runs as transactions: the library of all scripts, and the scripts for numbered rows."""

from __future__ import annotations

LIBRARY = """
local FACTS, CHUNK = 'segue:facts', 1000
local function fact(name) return redis.call('hget', FACTS, name) end
local function number(name, default) return tonumber(fact(name) or default) end
local function after(store, seq) return store == fact('id') and tonumber(seq) or 0 end
-- Parts of a sequence that fit on Lua's stack.
local function each(all, use)
  for from = 1, #all, CHUNK do use({unpack(all, from, math.min(from + CHUNK - 1, #all))}) end
end
-- Why the caller's user gets no row: the caller has another salt than the suppression list, or the user is in it.
local function refusal(salt, code)
  if salt ~= fact('salt') then return 'salt' end
  return redis.call('sismember', 'segue:suppressed', code) == 1 and 'erased'
end
-- Rows are kept with the key of their user's list: `key newline text`.
local function add(tab, list, text)
  local seq = redis.call('hincrby', FACTS, tab, 1)
  redis.call('hset', 'segue:' .. tab, seq, list .. '\\n' .. text)
  redis.call('rpush', list, seq)
  return seq
end
local function rows(tab, seqs)
  local found = {}
  each(seqs, function(part)
    for place, row in ipairs(redis.call('hmget', 'segue:' .. tab, unpack(part))) do
      if row then
        found[#found + 1] = part[place]
        found[#found + 1] = row:sub(row:find('\\n', 1, true) + 1)
      end
    end
  end)
  return found
end
local function last_before(tab, time)
  local times = redis.call('zrevrangebyscore', 'segue:' .. tab .. ':times', '(' .. time, '-inf', 'limit', 0, 1)
  return math.max(tonumber(times[1] or 0), number(tab .. ':first', 1) - 1)
end
"""


def script(flags: str, body: str) -> str:
    """A script with `LIBRARY`; its flags say what it may do on a server without memory (Redis 7)."""
    return f"#!lua{f' flags={flags}' if flags else ''}{LIBRARY}{body}"


OPEN = script(
    "allow-oom",
    """
    local server = redis.call('info', 'server'):match('run_id:(%w+)')
    if fact('server') ~= server then redis.call('hset', FACTS, 'server', server, 'id', ARGV[1]) end
    if not fact('key') then redis.call('hset', FACTS, 'key', ARGV[2], 'salt', '') end
    return redis.call('hmget', FACTS, 'id', 'key', 'salt')
    """,
)
READ = script(
    "no-writes",
    """
    local tab, limit, found = ARGV[1], tonumber(ARGV[4]), {}
    local seq, last = math.max(after(ARGV[2], ARGV[3]) + 1, number(tab .. ':first', 1)), number(tab, 0)
    while seq <= last and #found < 2 * limit do
      local seqs = {}
      for one = seq, math.min(last, seq + limit - #found / 2 - 1) do seqs[#seqs + 1] = one end
      seq = seq + #seqs
      for _, value in ipairs(rows(tab, seqs)) do found[#found + 1] = value end
    end
    return {fact('id'), found}
    """,
)
READ_LIST = script(
    "no-writes",
    """
    local from, seqs = after(ARGV[3], ARGV[4]), {}
    for _, seq in ipairs(redis.call('lrange', ARGV[2], 0, -1)) do
      if tonumber(seq) > from then seqs[#seqs + 1] = seq end
    end
    return {fact('id'), rows(ARGV[1], seqs)}
    """,
)
REMOVE = script(
    "allow-oom",
    """
    local tab, last, count = ARGV[1], after(ARGV[2], ARGV[3]), 0
    local key, first = 'segue:' .. tab, number(tab .. ':first', 1)
    if ARGV[4] ~= '' then last = math.min(last, last_before(tab, ARGV[4])) end
    last = math.min(last, number(tab, 0))
    local to = math.min(last, first + CHUNK - 1)
    for seq = first, to do
      local row = redis.call('hget', key, seq)
      if row then
        redis.call('lpop', row:sub(1, row:find('\\n', 1, true) - 1))
        redis.call('hdel', key, seq)
        count = count + 1
      end
      redis.call('zrem', key .. ':times', seq)
    end
    redis.call('hset', FACTS, tab .. ':first', math.max(first, to + 1))
    return {count, last - to}
    """,
)
ERASE = script(
    "allow-oom",
    """
    local count = 0
    for at = 2, #ARGV do
      local rows = {}
      if redis.call('type', ARGV[at]).ok == 'list' then rows = redis.call('lrange', ARGV[at], 0, -1) end
      each(rows, function(part) redis.call('hdel', 'segue:' .. ARGV[1], unpack(part)) end)
      count = count + math.max(#rows, redis.call('del', ARGV[at]))
    end
    return count
    """,
)
