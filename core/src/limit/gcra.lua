-- Charges every bucket of one request, or none: the arithmetic of `gcra.rs` and `bucket.rs` in one step of Redis.
--
-- KEYS: the buckets. ARGV: cost, wanted, held, and of each bucket interval_us, tolerance_us, burst, block_ms, 1 if it is in
-- shadow (charged and blocked like any other, and refuses nothing).
-- Reply: 1 or 0 (paid or not), the tokens beyond the cost, and of each bucket: microseconds until it is full,
-- milliseconds until its block ends, 1 if it is in shadow and would have refused.
-- Every number is whole and below 2^53, which a number of Lua holds exactly. `%.0f` writes it so; `tostring` would not.
local cost, wanted, held = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local clock_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
-- Never earlier than any of these buckets has seen: a clock that is set back refills nothing.
local now_ms = clock_ms

local buckets = {}
for i, key in ipairs(KEYS) do
  local at = i * 5 - 1
  local bucket = {
    interval_us = tonumber(ARGV[at]),
    tolerance_us = tonumber(ARGV[at + 1]),
    burst = tonumber(ARGV[at + 2]),
    block_ms = tonumber(ARGV[at + 3]),
    is_shadow = ARGV[at + 4] == '1',
    would_refuse = 0,
    full_at_us = 0,
    block_until_ms = 0,
  }
  local stored = redis.call('GET', key)
  if stored then
    -- Earlier scripts stored fewer of the numbers it was made by: what is not there has not changed.
    local full_at_us, block_until_ms, seen_ms, interval_us, burst, block_ms =
      string.match(stored, '^(%d+) (%d+) (%d+) ?(%d*) ?(%d*) ?(%d*)$')
    if not full_at_us then return redis.error_reply('ERR not a bucket') end
    bucket.full_at_us, bucket.block_until_ms = tonumber(full_at_us), tonumber(block_until_ms)
    bucket.was_us = tonumber(interval_us) or bucket.interval_us
    bucket.is_changed = bucket.was_us ~= bucket.interval_us
      or (tonumber(burst) or bucket.burst) ~= bucket.burst
      or (tonumber(block_ms) or bucket.block_ms) ~= bucket.block_ms
    now_ms = math.max(now_ms, tonumber(seen_ms))
  end
  buckets[i] = bucket
end
local at_us = now_ms * 1000

-- Under other numbers, as when the plan changed, what was taken stays taken, token by token, and the block ends.
for _, bucket in ipairs(buckets) do
  if bucket.is_changed then
    local missing_us = math.max(bucket.full_at_us - at_us, 0)
    if bucket.was_us ~= bucket.interval_us then
      missing_us = math.ceil(missing_us / bucket.was_us * bucket.interval_us)
    end
    bucket.full_at_us = at_us + math.min(missing_us, bucket.tolerance_us)
    bucket.block_until_ms = 0
  end
end

-- When the bucket would be full after this; a cost above the burst empties it instead.
local function after(bucket, tokens)
  return math.max(bucket.full_at_us, at_us) + math.min(bucket.interval_us * tokens, bucket.tolerance_us)
end

local function refuses(bucket, tokens)
  return bucket.block_until_ms > now_ms or after(bucket, tokens) > at_us + bucket.tolerance_us
end

-- Attempts during a block do not lengthen it.
local function block(bucket)
  if bucket.block_ms > 0 and bucket.block_until_ms <= now_ms then bucket.block_until_ms = now_ms + bucket.block_ms end
end

local function take(tokens)
  for _, bucket in ipairs(buckets) do
    if refuses(bucket, tokens) then block(bucket) else bucket.full_at_us = after(bucket, tokens) end
  end
end

-- The tokens of a lease: no more than wanted, than any bucket holds, and than an eighth of its burst in one isolate. None
-- once a bucket in shadow would refuse: what it would refuse is counted one by one.
local function beyond()
  local most = wanted
  for _, bucket in ipairs(buckets) do
    if refuses(bucket, 1) and bucket.is_shadow then return 0 end
    local missing_us = math.max(bucket.full_at_us - at_us, 0)
    local there = math.floor((bucket.tolerance_us - missing_us) / bucket.interval_us)
    most = math.min(most, there, math.floor(bucket.burst / 8) - held)
  end
  return math.max(most, 0)
end

-- A key ends when its bucket is full and unblocked: nothing stays without an end.
local function save(key, bucket)
  local end_ms = math.max(math.ceil(bucket.full_at_us / 1000), bucket.block_until_ms)
  local numbers = '%.0f %.0f %.0f %.0f %.0f %.0f'
  local value = string.format(
    numbers, bucket.full_at_us, bucket.block_until_ms, now_ms, bucket.interval_us, bucket.burst, bucket.block_ms
  )
  redis.call('SET', key, value, 'PX', string.format('%.0f', math.max(end_ms - clock_ms, 1)))
end

local refused = false
for i, bucket in ipairs(buckets) do
  if not bucket.is_shadow and refuses(bucket, cost) then
    refused = true
    local blocked_ms = bucket.block_until_ms
    block(bucket)
    if bucket.block_until_ms ~= blocked_ms then save(KEYS[i], bucket) end
  end
  if bucket.is_shadow and cost > 0 and refuses(bucket, cost) then bucket.would_refuse = 1 end
end

local extra = 0
if not refused then
  take(cost)
  extra = beyond()
  if extra > 0 then take(extra) end
  if cost + extra > 0 then
    for i, bucket in ipairs(buckets) do save(KEYS[i], bucket) end
  end
end

local reply = { refused and 0 or 1, extra }
for _, bucket in ipairs(buckets) do
  table.insert(reply, math.max(bucket.full_at_us - at_us, 0))
  table.insert(reply, math.max(bucket.block_until_ms - now_ms, 0))
  table.insert(reply, bucket.would_refuse)
end
return reply
