-- Holds an amount on a sheet, if no limit is exceeded by what is there, what is held, and that.
-- KEYS: the sheet. ARGV: the hold's field, its amount, now and when it ends in milliseconds, what else counts as held, then fields
-- with their limits.
-- Returns: whether it is held, what is held besides, and the amount of each field.
local held, amounts = tonumber(ARGV[5]), {}
local is_there = false
local sheet, now = redis.call('HGETALL', KEYS[1]), tonumber(ARGV[3])
for i = 1, #sheet, 2 do
  is_there = is_there or sheet[i] == ARGV[1]
  local amount, ends = string.match(sheet[i + 1], '^(%d+):(%d+)$')
  if not amount then
    amounts[sheet[i]] = tonumber(sheet[i + 1])
  elseif tonumber(ends) > now and sheet[i] ~= ARGV[1] then
    held = held + tonumber(amount)
  end
end
local answer = { 1, string.format('%.0f', held) }
for i = 6, #ARGV, 2 do
  local amount = amounts[ARGV[i]] or 0
  if amount + held + tonumber(ARGV[2]) > tonumber(ARGV[i + 1]) then answer[1] = 0 end
  answer[#answer + 1] = string.format('%.0f', amount)
end
if answer[1] == 1 then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. ARGV[4])
elseif is_there then
  -- Held by a first attempt whose answer was lost, and refused now.
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return answer
