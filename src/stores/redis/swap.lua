-- Puts a value in the place of another, if that is what is there.
-- KEYS: the key. ARGV: what is expected, what is to be there, for how many seconds.
-- Returns: 1 when it is there now, the other value that is there instead, or nothing when there is none.
local there = redis.call('GET', KEYS[1])
-- What is to be there may have been put there by a first attempt whose answer was lost.
if there ~= ARGV[1] and there ~= ARGV[2] then return there end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
