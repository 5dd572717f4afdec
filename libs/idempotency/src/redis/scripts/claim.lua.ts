import { CODE, LOAD_LUA, NOW_LUA, STATE, TOUCH_LUA } from './record.lua.js';

export const CLAIM_LUA = `
-- Asks to run: takes a free record, or one whose lease has ended and whose fingerprint is the same.
-- KEYS[1]  record id
-- ARGV     owner token, fingerprint, lease (ms), keeping time (ms), 1 when an expired lease may be taken over,
--          1 when replicas are waited for
-- Returns  {${CODE.claimedNew}}                                     claimed, there was nothing
--          {${CODE.claimed}, 0, record}                          claimed, as it is now
--          {${CODE.inProgress}, remaining lease (ms), fingerprint}   somebody else's
--          {${CODE.abandoned}, 0, fingerprint}                     expired, and it may not be taken over
--          {${CODE.completed}, remaining keeping time (ms), record}
--          {${CODE.unreadable}, length, first 4 bytes}              not a record of this layout
${LOAD_LUA}
if raw and state == ${STATE.completed} then
  local left = redis.call('PTTL', KEYS[1])
  if ARGV[6] == '1' then ${TOUCH_LUA} end
  return {${CODE.completed}, left, raw}
end
${NOW_LUA}
local lease, ttl = now + ARGV[3], ARGV[3] + ARGV[4]
if not raw then
  redis.call('SET', KEYS[1], pack(${STATE.inProgress}, 0, 1, now, lease, ARGV[4], 0, 0, 0, #ARGV[1], 0, #ARGV[2])
    .. ARGV[1] .. ARGV[2], 'PX', ttl)
  return {${CODE.claimedNew}}
end
local open = state == ${STATE.inProgress}
local holder, foundHolder = part(body, owner), part(body + owner, found)
local sameRequest = part(body + owner + found, fingerprint)
local again = open and holder == ARGV[1]
if sameRequest ~= ARGV[2] or open and not again and leaseUntil > now then
  return {${CODE.inProgress}, math.max(0, leaseUntil - now), sameRequest}
end
if not again then
  if open and ARGV[5] ~= '1' then return {${CODE.abandoned}, 0, sameRequest} end
  previous, attempt, stepsFound = open and 2 or 1, attempt + 1, steps
  holder, foundHolder = ARGV[1], holder
end
local claimed = pack(${STATE.inProgress}, previous, attempt, since, lease, ARGV[4], stepsFound, steps, 0,
  #holder, #foundHolder, fingerprint) .. holder .. foundHolder .. sameRequest .. string.sub(raw, #raw - steps + 1)
redis.call('SET', KEYS[1], claimed, 'PX', ttl)
return {${CODE.claimed}, 0, claimed}
`;
