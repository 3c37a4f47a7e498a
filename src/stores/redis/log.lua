-- The exact log of `stores/limit/log.rs`: one string of admission times in milliseconds, ascending.
-- KEYS: the log. ARGV: quota, window in milliseconds, cost, now in milliseconds.
-- Returns: admitted, remaining, milliseconds until that grows, milliseconds until the same may pass.
local max, window, cost, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local live, last = {}, now
for entry in string.gmatch(redis.call('GET', KEYS[1]) or '', '%d+') do
  local at = tonumber(entry)
  -- A time far ahead is a broken clock's; what is not a time at all is an old counter's number.
  if now - window < at and at <= now + window then
    live[#live + 1] = string.format('%d', at)
    last = math.max(last, at)
  end
end
local over = #live + cost - max
local admitted = over <= 0
if admitted then
  local at = string.format('%d', last)
  for _ = 1, cost do live[#live + 1] = at end
  redis.call('SET', KEYS[1], table.concat(live, ' '), 'PX', string.format('%d', last - now + window))
end
local function leaves_in(place)
  local at = live[place] or live[#live]
  return at and tonumber(at) + window - now or 0
end
return { admitted and 1 or 0, math.max(0, max - #live), leaves_in(1), admitted and 0 or leaves_in(over) }
