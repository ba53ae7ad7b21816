"""Lua of the steps that Redis or Valkey makes: those of `records`, each at once and by the server's own clock.

All keys come in KEYS, and none is built in the script, so that a cluster sends it to the right node: records, holds,
the sequence, the members, and one key more for a turn or the votes. Times are milliseconds, turns microseconds. Answers
have the time that is left. Every key expires: a day after the last member is gone, or when it means nothing any more.
"""

SCRIPT = """
local time = redis.call('TIME')
local micro = time[1] * 1000000 + time[2]
local now = math.floor(micro / 1000)
local step, channel, keep = ARGV[1], ARGV[2], tonumber(ARGV[3])
local circuits, holds, sequence, members, extra = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local function load(name)
  local found = redis.call('HGET', circuits, name)
  if found then
    local c = cjson.decode(found)
    local back = c.a - now
    if back > 0 then  -- the server's clock was set back: what is left stays
      if c.d >= 0 then c.d = c.d - back end
      c.l, c.a = math.max(0, c.l - back), now
    end
    return c
  end
  return {e = 0, s = 'closed', d = 0, k = 0, l = 0, b = '', r = '', a = now}
end
local function told(name, c)
  local left = c.d
  if left >= 0 then left = math.max(0, left - now) end
  return {n = name, e = c.e, s = c.s, d = left, k = c.k, l = math.max(0, c.l - now), b = c.b, r = c.r, a = now - c.a}
end
local function announce(news)
  news.q = redis.call('INCR', sequence)
  redis.call('PEXPIRE', sequence, keep)
  redis.call('PUBLISH', channel, cjson.encode(news))
end
local function save(name, c)
  redis.call('HSET', circuits, name, cjson.encode(c))
  redis.call('PEXPIRE', circuits, keep)
end
local function due(seconds)
  local ms = tonumber(seconds)
  if ms < 0 then return -1 end
  return now + ms
end
local function change(name, c, state, seconds, by, reason)
  c.e, c.s, c.d, c.l, c.b, c.r, c.a = c.e + 1, state, due(seconds), 0, by, reason, now
  save(name, c)
  announce(told(name, c))
end
local function kept_hold(found)
  local h = found and cjson.decode(found) or {u = 0, r = '', a = 0}
  h.u = h.u - math.max(0, h.a - now)
  return h
end
local function part()
  redis.call('ZADD', members, now + tonumber(ARGV[5]), ARGV[4])
  redis.call('ZREMRANGEBYSCORE', members, '-inf', now)
  redis.call('PEXPIRE', members, keep)
  local stored = redis.call('PEXPIRE', circuits, keep)
  local found, longest = redis.call('HGETALL', holds), keep
  for i = 2, #found, 2 do longest = math.max(longest, kept_hold(found[i]).u - now) end
  local held = redis.call('PEXPIRE', holds, longest)  -- a ban of days outlives the last member
  redis.call('PEXPIRE', sequence, keep)
  return redis.call('ZCARD', members), tonumber(redis.call('GET', sequence) or '0'), stored, held
end
local function held(name, ms, reason)
  local before = kept_hold(redis.call('HGET', holds, name))
  if before.u < now + ms then
    before = {u = now + ms, r = reason, a = now}
    redis.call('HSET', holds, name, cjson.encode(before))
    redis.call('PEXPIRE', holds, math.max(keep, ms))
    announce({h = name, d = ms, r = reason, a = 0})
  end
  return {h = name, d = math.max(0, before.u - now), r = before.r}
end

local function full_at(stored)
  local full, seen = string.match(stored or '0 0', '(%d+) (%d+)')
  return math.max(tonumber(full) - math.max(0, tonumber(seen) - micro), micro)
end
local function fill(full)
  local both = string.format('%.0f %.0f', full, micro)
  redis.call('SET', extra, both, 'PX', math.ceil((full - micro) / 1000) + 1000)
end

-- A log is the start of its last group, and last turn and weight of each group.
local function moved(log, by)
  local found = {}
  for i, value in ipairs(log) do found[i] = (i == 1 or i % 2 == 0) and value + by or value end
  return found
end
local function noted(log, at, per, weight)
  if weight <= 0 then return log end
  local found = {log[1] or at}
  for i = 2, #log, 2 do
    if log[i] > at - per then found[#found + 1], found[#found + 2] = log[i], log[i + 1] end
  end
  if #found > 1 and at < found[1] + per / 8 then
    found[#found - 1], found[#found] = at, found[#found] + weight
  else
    found[1], found[#found + 1], found[#found + 2] = at, at, weight
  end
  return found
end
local function room_at(log, at, limit, per, weight)
  for i = #log - 1, 2, -2 do
    weight = weight + log[i + 1]
    if weight > limit + 1e-6 then return math.max(at, log[i] + per) end
  end
  return at
end

local name = ARGV[4]
if step == 'open' then
  local c = load(name)
  local closed = c.s == 'closed' or (c.s == 'disabled' and c.d >= 0 and now >= c.d)
  if closed and c.e == tonumber(ARGV[5]) then
    local quorum, votes = tonumber(ARGV[9]), 1
    if quorum > 1 then
      local ms = math.max(1000, tonumber(ARGV[6]))
      redis.call('ZREMRANGEBYSCORE', extra, '-inf', now)
      redis.call('ZADD', extra, now + ms, ARGV[10])
      redis.call('PEXPIRE', extra, ms)
      votes = redis.call('ZCARD', extra)
    end
    if votes >= quorum then change(name, c, 'open', ARGV[6], ARGV[7], ARGV[8]) end
  end
  return cjson.encode(told(name, c))
elseif step == 'claim' then
  local c, answer = load(name), nil
  if now > tonumber(ARGV[6]) then answer = 'late'
  elseif c.s == 'closed' or c.s == 'disabled' then answer = 'unneeded'
  elseif c.d < 0 or now < c.d then answer = 'early'
  elseif c.l > now then answer = 'taken'
  else
    answer, c.k, c.l = 'granted', c.k + 1, now + tonumber(ARGV[5])
    save(name, c)
  end
  local news = told(name, c)
  news.o = answer
  return cjson.encode(news)
elseif step == 'extend' then
  local c = load(name)
  if c.k == tonumber(ARGV[5]) and c.l > 0 then
    c.l = now + tonumber(ARGV[6])
    save(name, c)
  end
  return cjson.encode(told(name, c))
elseif step == 'settle' then
  local c = load(name)
  if c.k == tonumber(ARGV[5]) and c.l > 0 then change(name, c, ARGV[6], ARGV[7], ARGV[8], ARGV[9]) end
  return cjson.encode(told(name, c))
elseif step == 'override' then
  local c = load(name)
  c.k = c.k + 1
  change(name, c, ARGV[5], ARGV[6], ARGV[7], ARGV[8])
  return cjson.encode(told(name, c))
elseif step == 'hold' then
  return cjson.encode(held(name, tonumber(ARGV[5]), ARGV[6]))
elseif step == 'reserve' then
  local interval, burst, weight, patience = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
  local start = full_at(redis.call('GET', extra))
  local wait = math.max(0, start - interval * (burst - math.min(weight, burst)) - micro)
  if wait <= patience then
    fill(start + math.ceil(interval * weight))
    return {string.format('%.0f', wait), 1}
  end
  return {string.format('%.0f', wait), 0}
elseif step == 'reserve_window' then
  local asked, found = cjson.decode(ARGV[5]), redis.call('GET', extra)
  local kept = found and cjson.decode(found) or {b = string.format('%.0f', micro), s = micro, w = {}}
  local base = math.min(tonumber(kept.s), micro)  -- the server's clock was set back: what is left stays
  local logs, first, longest = {}, micro, 0
  for per, log in pairs(kept.w) do logs[per] = moved(log, base) end
  for _, w in ipairs(asked.w) do
    local log = logs[string.format('%.0f', w[2])]
    if log then first = math.max(first, log[#log - 1]) end
  end
  local at = math.max(first, micro + asked.d)
  for i, w in ipairs(asked.w) do
    local per = string.format('%.0f', w[2])
    local missing = logs[per] and kept.b == asked.k and asked.a[i] or asked.o[i]
    logs[per] = noted(logs[per] or {}, first, w[2], missing or 0)
    at = room_at(logs[per], at, w[1], w[2], asked.n)
  end
  local granted = asked.p < 0 or at - micro <= asked.p
  kept.s, kept.w = string.format('%.0f', micro), {}
  for _, w in ipairs(asked.w) do
    local per = string.format('%.0f', w[2])
    if granted then logs[per] = noted(logs[per], at, w[2], asked.n) end
  end
  for per, log in pairs(logs) do
    local left = #log > 0 and log[#log - 1] + tonumber(per) - micro or 0
    if left > 0 then kept.w[per], longest = moved(log, -micro), math.max(longest, left) end
  end
  if longest > 0 then redis.call('SET', extra, cjson.encode(kept), 'PX', math.ceil(longest / 1000) + 1000) end
  return {string.format('%.0f', math.max(0, at - micro)), granted and 1 or 0, kept.b}
elseif step == 'postpone' then
  fill(math.max(full_at(redis.call('GET', extra)), micro + math.ceil(tonumber(ARGV[5]))))
  return 1
elseif step == 'nonce' then
  -- As text: Lua's numbers are exact up to 2^53 alone, and those of the server up to 2^63.
  local least, last = ARGV[5], redis.call('GET', extra)
  if last and (#last > #least or (#last == #least and last >= least)) then redis.call('INCR', extra)
  else redis.call('SET', extra, least) end
  redis.call('PEXPIRE', extra, keep)
  return redis.call('GET', extra)
elseif step == 'seed' then
  for _, r in ipairs(cjson.decode(ARGV[4])) do
    local c = load(r.n)
    if r.e > c.e then
      c.e, c.s, c.d, c.l, c.b, c.r, c.a = r.e, r.s, due(r.d), 0, r.b, r.r, now - r.a
      c.k = math.max(c.k, r.k)
      save(r.n, c)
      announce(told(r.n, c))
    end
  end
  for _, h in ipairs(cjson.decode(ARGV[5])) do
    if kept_hold(redis.call('HGET', holds, h.h)).u < now + h.d - 1000 then held(h.h, h.d, h.r) end
  end
  return '{}'
elseif step == 'now' then
  return cjson.encode({now = now})
elseif step == 'beat' then
  local count, number, stored, held = part()
  return cjson.encode({m = count, q = number, now = now, c = stored, h = held})
elseif step == 'sync' then
  local count, number = part()
  local all, kept = {}, {}
  local found = redis.call('HGETALL', circuits)
  for i = 1, #found, 2 do all[#all + 1] = told(found[i], load(found[i])) end
  found = redis.call('HGETALL', holds)
  for i = 1, #found, 2 do
    local h = kept_hold(found[i + 1])
    if h.u > now then kept[#kept + 1] = {h = found[i], d = h.u - now, r = h.r}
    else redis.call('HDEL', holds, found[i]) end
  end
  return cjson.encode({m = count, q = number, now = now, c = all, h = kept})
end
return redis.error_reply('no such step: ' .. tostring(step))
"""
