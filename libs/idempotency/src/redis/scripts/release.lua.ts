import { CODE, OWNED_LUA, STATE } from './record.lua.js';

export const RELEASE_LUA = `
-- Gives a claim up. To forget it is to go back to what it found; the owner that it found may then still complete.
-- KEYS[1]  record id
-- ARGV     owner token, 1 to forget that the claim ever happened
-- Returns  {${CODE.applied}}      given up
--          {${CODE.leaseLost}}      another claim owns the record, it is released or completed, or it is gone
--          {${CODE.unreadable}, length, first 4 bytes}
${OWNED_LUA}
local forget, holder = ARGV[2] == '1', ''
if forget and previous == 0 then
  redis.call('DEL', KEYS[1])
  return {${CODE.applied}}
end
local same, log = part(body + owner + found, fingerprint), string.sub(raw, #raw - steps + 1)
state = ${STATE.released}
if forget then
  if previous == 2 then state, holder = ${STATE.inProgress}, part(body + owner, found) end
  attempt, log = attempt - 1, string.sub(log, 1, stepsFound)
  -- What the found claim had itself found is not kept. For the first one that was nothing; else expired is the careful guess.
  previous = attempt == 1 and 0 or 2
end
redis.call('SET', KEYS[1], pack(state, previous, attempt, since, 0, keep, #log, #log, 0, #holder, 0, fingerprint)
  .. holder .. same .. log, 'PX', keep)
return {${CODE.applied}}
`;
