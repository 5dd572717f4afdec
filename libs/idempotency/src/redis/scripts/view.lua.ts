import { CODE, LOAD_LUA, NOW_LUA, STATE } from './record.lua.js';

export const VIEW_LUA = `
-- Reads a record for operators, together with the server's clock.
-- KEYS[1]  record id
-- ARGV     state asked for (in_progress, completed, or empty for any), least age (ms)
-- Returns  nil                                             there is none, or it is not what was asked for
--          {${CODE.view}, now (ms since 1970), remaining keeping time (ms), record}
--          {${CODE.unreadable}, length, first 4 bytes}
${LOAD_LUA}
if not raw then return nil end
${NOW_LUA}
local name = state == ${STATE.completed} and 'completed' or 'in_progress'
if ARGV[1] ~= '' and ARGV[1] ~= name or now - since < tonumber(ARGV[2]) then return nil end
return {${CODE.view}, now, redis.call('PTTL', KEYS[1]), raw}
`;
