-- Adds to sheets, once: hashes of amounts by their fields.
-- KEYS: the poster, then the sheets. ARGV: the posting's number, for how many seconds its poster is remembered, then for each
-- sheet: for how many seconds it is kept (0: for good), how many fields to drop, how many to add to, the former, the latter each with
-- its amount.
-- Returns: the number, whether this did it or an earlier attempt.
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return ARGV[1] end
local at, sheets = 3, {}
local function take(count)
  at = at + count
  return { unpack(ARGV, at - count, at - 1) }
end
-- Everything is read before anything is written: what is no sheet fails here.
for k = 2, #KEYS do
  local counts = take(3)
  local sheet = { key = KEYS[k], keep = counts[1], dropped = take(tonumber(counts[2])), fields = {}, new = {} }
  local added = take(2 * tonumber(counts[3]))
  for i = 1, #added, 2 do sheet.fields[#sheet.fields + 1] = added[i] end
  if #added > 0 then
    for i, there in ipairs(redis.call('HMGET', sheet.key, unpack(sheet.fields))) do
      sheet.is_begun = sheet.is_begun or there
      local sum = (there and tonumber(there) or 0) + tonumber(added[2 * i])
      sheet.new[2 * i - 1], sheet.new[2 * i] = added[2 * i - 1], string.format('%.0f', sum)
    end
  else
    redis.call('HLEN', sheet.key)
  end
  sheets[#sheets + 1] = sheet
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
for _, sheet in ipairs(sheets) do
  if #sheet.new > 0 then redis.call('HSET', sheet.key, unpack(sheet.new)) end
  if #sheet.dropped > 0 then redis.call('HDEL', sheet.key, unpack(sheet.dropped)) end
  -- Its time runs from its beginning on; where all fields are new, this may be it.
  if sheet.keep ~= '0' and not sheet.is_begun then redis.call('EXPIRE', sheet.key, sheet.keep) end
end
return ARGV[1]
