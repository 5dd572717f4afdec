import { CODE, LAYOUT, NOW_LUA, OWNED_LUA } from './record.lua.js';

export const RENEW_LUA = `
-- Extends a lease from now. Its six bytes are patched, so that large steps are not written again by every renewal.
-- KEYS[1]  record id
-- ARGV     owner token, lease (ms)
-- Returns  {${CODE.applied}}      extended, whether or not the lease had expired
--          {${CODE.leaseLost}}      another claim owns the record, it is released or completed, or it is gone
--          {${CODE.unreadable}, length, first 4 bytes}
${OWNED_LUA}
${NOW_LUA}
redis.call('SETRANGE', KEYS[1], ${LAYOUT.leaseUntilAt}, struct.pack('>I6', now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2] + keep)
return {${CODE.applied}}
`;
