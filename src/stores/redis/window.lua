-- The window counter of `stores/limit/window.rs`: `number:count:before`.
-- KEYS: the counter. ARGV: quota, window in milliseconds, cost, now in milliseconds.
-- Returns: admitted, remaining, milliseconds until that grows, milliseconds until the same may pass.
local max, length, cost, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local number, elapsed = math.floor(now / length), now % length
local count, before = 0, 0
local n, c, b = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+):(%d+):(%d+)$')
if n then
  n, c, b = tonumber(n), tonumber(c), tonumber(b)
  -- A clock that is a little behind never turns the window back.
  if n == number + 1 then number, elapsed = n, 0 end
  if n == number then count, before = c, b end
  if n == number - 1 then before = c end
end
local used = math.ceil(before * (length - elapsed) / length) + count
local admitted = used + cost <= max
local wait = 0
if admitted then
  count, used = count + cost, used + cost
  local state = string.format('%d:%d:%d', number, count, before)
  redis.call('SET', KEYS[1], state, 'PX', string.format('%d', 2 * length - elapsed))
else
  local room = max - cost - count
  if room >= 0 then
    wait = math.ceil(length * math.max(0, before - room) / math.max(1, before)) - elapsed
  else
    wait = length - elapsed + math.ceil(length * math.max(0, -room) / math.max(1, count))
  end
end
return { admitted and 1 or 0, math.max(0, max - used), admitted and length - elapsed or wait, wait }
