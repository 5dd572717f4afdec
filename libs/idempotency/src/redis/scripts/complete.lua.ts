import { CODE, LOAD_LUA, STATE, TOUCH_LUA } from './record.lua.js';

export const COMPLETE_LUA = `
-- Stores the result and ends the claim, however late it is. A completed record never changes again.
-- KEYS[1]  record id
-- ARGV     owner token, keeping time (ms), result
-- Returns  {${CODE.applied}}      stored, now or by an earlier call of the same owner
--          {${CODE.leaseLost}}      another claim owns the record, it is released, or it is gone
--          {${CODE.unreadable}, length, first 4 bytes}
${LOAD_LUA}
if not raw or state == ${STATE.released} or part(body, owner) ~= ARGV[1] then return {${CODE.leaseLost}} end
if state == ${STATE.completed} then
  local left = redis.call('PTTL', KEYS[1])
  ${TOUCH_LUA}
  return {${CODE.applied}}
end
local rest = string.sub(raw, body + owner + found + 1)
redis.call('SET', KEYS[1], pack(${STATE.completed}, previous, attempt, since, 0, keep, 0, steps, #ARGV[3],
  owner, 0, fingerprint) .. ARGV[1] .. rest .. ARGV[3], 'PX', ARGV[2])
return {${CODE.applied}}
`;
