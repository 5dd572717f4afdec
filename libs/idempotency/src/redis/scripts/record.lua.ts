/**
 * One record is one string, so that one SET or DEL changes it as a whole:
 *
 * | offset | bytes | field |
 * |---|---|---|
 * | 0 | 4 | `idr` and the number of this layout |
 * | 4 | 1 | state: 1 in progress, 2 released, 3 completed |
 * | 5 | 1 | what the claim found: 0 nothing, 1 released, 2 expired |
 * | 6 | 4 | attempt |
 * | 10 | 6 | first claimed at, ms since 1970 on the server's clock |
 * | 16 | 6 | lease until, likewise; 0 once it was given up or completed |
 * | 22 | 6 | how long the unfinished record outlives its lease, ms |
 * | 28 | 4 | how many bytes of steps the claim found |
 * | 32 | 4, 4 | lengths of steps and result |
 * | 40 | 1, 1, 1 | lengths of owner token, found owner token, fingerprint |
 * | 43 | | owner token, found owner token, fingerprint, steps, result |
 *
 * Numbers are big endian. Steps are a log: name length (2), value length (4), name, value; a later entry of the same
 * name replaces the value of the earlier one. So saving is appending, and what a claim found is a prefix.
 */
export const LAYOUT = {
  name: 'idr',
  version: '1',
  format: '>c4BBI4I6I6I6I4I4I4BBB',
  headBytes: 43,
  leaseUntilAt: 16,
  stepFormat: '>I2I4',
} as const;

export const STATE = { inProgress: 1, released: 2, completed: 3 } as const;

/** What a claim found, by the number that the layout has for it. */
export const PREVIOUS = ['none', 'released', 'expired'] as const;

/** First element of every answer of a script. */
export const CODE = {
  unreadable: 0,
  applied: 1,
  leaseLost: 2,
  claimedNew: 3,
  claimed: 4,
  inProgress: 5,
  abandoned: 6,
  completed: 7,
  view: 8,
} as const;

/**
 * How every script begins: with the record under KEYS[1] in locals. `raw` is false when there is none; `steps`, `result`,
 * `owner`, `found` and `fingerprint` are lengths, and `part(n, length)` cuts such a part out from offset n. A string that
 * is not a record of this layout ends the script with `unreadable`, another Redis type with WRONGTYPE.
 *
 * `pack` makes the head of a record. All but a renewal write the record whole, with its keeping time, in one command.
 */
export const LOAD_LUA = `
local raw = redis.call('GET', KEYS[1])
local magic, state, previous, attempt, since, leaseUntil, keep, stepsFound, steps, result, owner, found, fingerprint
local body = ${LAYOUT.headBytes}
if raw then
  if #raw >= body then
    magic, state, previous, attempt, since, leaseUntil, keep, stepsFound, steps, result, owner, found, fingerprint =
      struct.unpack('${LAYOUT.format}', raw)
  end
  if magic ~= '${LAYOUT.name}${LAYOUT.version}' or #raw ~= body + owner + found + fingerprint + steps + result
    or state < ${STATE.inProgress} or state > ${STATE.completed} or previous > 2 then
    return {${CODE.unreadable}, #raw, string.sub(raw, 1, 4)}
  end
end
local function part(offset, length) return string.sub(raw, offset + 1, offset + length) end
local function pack(...) return struct.pack('${LAYOUT.format}', '${LAYOUT.name}${LAYOUT.version}', ...) end
`;

/** Milliseconds since 1970 on the server's clock. */
export const NOW_LUA = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * Writes a keeping time of `left` again, so that something goes to the replicas. WAIT waits for what its own connection
 * has written last, and says nothing about a record that another one has written.
 */
export const TOUCH_LUA = "if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end";

/** Ends the script unless ARGV[1] owns the unfinished record. */
export const OWNED_LUA = `
${LOAD_LUA}
if not raw or state ~= ${STATE.inProgress} or part(body, owner) ~= ARGV[1] then return {${CODE.leaseLost}} end
`;
