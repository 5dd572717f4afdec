import { CODE, LAYOUT, OWNED_LUA, STATE } from './record.lua.js';

export const SAVE_STEP_LUA = `
-- Appends a step to the log of the unfinished record. The lease and the keeping time stay as they are.
-- KEYS[1]  record id
-- ARGV     owner token, name, value
-- Returns  {${CODE.applied}}      saved
--          {${CODE.leaseLost}}      another claim owns the record, it is released or completed, or it is gone
--          {${CODE.unreadable}, length, first 4 bytes}
${OWNED_LUA}
local entry = struct.pack('${LAYOUT.stepFormat}', #ARGV[2], #ARGV[3]) .. ARGV[2] .. ARGV[3]
redis.call('SET', KEYS[1], pack(${STATE.inProgress}, previous, attempt, since, leaseUntil, keep, stepsFound,
  steps + #entry, 0, owner, found, fingerprint) .. string.sub(raw, body + 1) .. entry, 'KEEPTTL')
return {${CODE.applied}}
`;
