import type { ClaimRequest } from '../../core/idempotency-storage.js';
import type { Row } from '../rows.js';
import { DUPLICATE, numberOf } from './control-connections.js';
import type { Ask } from './mariadb-records.js';
import { CLOCK, secondsUntil } from './statements.js';

/**
 * MySQL knows no blocks outside of procedures, so a claim that wins takes two statements here.
 *
 * Purpose: the record as it is, and whether the claim may have it. It is all that a replay needs.
 * ? fingerprint, ? owner token, ? take over an expired lease, ? owner token, ? id
 * Returns its row, or none.
 */
export const look = (table: string) => `
select w.*, ${secondsUntil('w.lease_until')} as lease_s, ${secondsUntil('w.expires_at')} as expires_s,
  case when w.claimable then null else r.result end as result, case when w.claimable then r.steps end as steps
from (
  select r.id, r.state, r.attempt, r.previous, r.fingerprint, r.owner, r.owner is null as released, r.owner_found,
    r.created_at, r.lease_until, r.expires_at, r.steps_found, octet_length(r.steps) as steps_length,
    r.expires_at <= ${CLOCK} as is_over,
    (r.expires_at <= ${CLOCK} or (r.state = 0 and r.attempt > 0 and r.fingerprint = ?
      and (r.owner is null or r.owner = ? or (? and r.lease_until <= ${CLOCK})))) as claimable,
    coalesce(r.owner = ?, false) as is_again
  from ${table} r where r.id = ? limit 1) w
straight_join ${table} r on r.id = w.id`;

/**
 * Purpose: a new record.
 * ? id, ? owner token, ? fingerprint, ? lease in ms, ? lease and keeping time in ms
 * Changes one row: won. Error 1062: another claim came first.
 */
export const insert = (table: string) => `
insert into ${table} (id, state, attempt, previous, owner, fingerprint, created_at, lease_until, expires_at)
select ?, 0, 1, 0, ?, ?, n.moment, n.moment + ?, n.moment + ?
from (select ${CLOCK} as moment) n`;

/**
 * Purpose: takes the record that was looked at, if it is still the same and nobody has it locked. The log of steps only
 * grows under one owner, so its length stands for it.
 * ? id, ? state, ? attempt, ? owner, ? end of the lease, ? end of the keeping time, ? length of the steps: as seen;
 * ? owner found, ? previous, ? attempt, ? steps found, ? nothing of it counts, ? the same, ? fingerprint, ? owner token,
 * ? lease in ms, ? lease and keeping time in ms
 * Changes one row: won. None: ask again.
 */
export const take = (table: string) => `
update (
  select o.id, ${CLOCK} as moment from ${table} o
  where o.id = ? and o.state <=> ? and o.attempt <=> ? and o.owner <=> ? and o.lease_until <=> ?
    and o.expires_at <=> ? and octet_length(o.steps) <=> ?
  limit 1 for update skip locked) h
straight_join ${table} r force index (primary) on r.id = h.id
set r.owner_found = ?, r.previous = ?, r.attempt = ?, r.steps_found = ?,
  r.steps = case when ? then null else r.steps end,
  r.created_at = case when ? then h.moment else r.created_at end,
  r.state = 0, r.result = null, r.fingerprint = ?, r.owner = ?,
  r.lease_until = h.moment + ?, r.expires_at = h.moment + ?`;

export async function claimOnMySql(ask: Ask, id: Buffer, request: ClaimRequest): Promise<Row | undefined> {
  const { ownerToken, leaseMs, keepMs, takeOver } = request;
  const fingerprint = Buffer.from(request.fingerprint);
  const terms = [leaseMs, leaseMs + keepMs];
  const looked = await ask('look', look, [fingerprint, ownerToken, takeOver ? 1 : 0, ownerToken, id]);
  const seen = looked.rows[0];
  if (seen === undefined) {
    try {
      await ask('insert', insert, [id, ownerToken, fingerprint, ...terms]);
      return { won: true, attempt: 1, previous: 0, steps: null };
    } catch (error) {
      // Another claim came first.
      if (numberOf((error as Error).cause) === DUPLICATE) return undefined;
      throw error;
    }
  }
  if (seen['claimable'] !== true) return { ...seen, won: false };
  const next = nextRun(seen);
  const { affected } = await ask('take', take, [
    ...[id, seen['state'], seen['attempt'], seen['owner'], seen['lease_until'], seen['expires_at']],
    ...[seen['steps_length'], next.ownerFound, next.previous, next.attempt, next.stepsFound],
    ...[next.isNew, next.isNew, fingerprint, ownerToken, ...terms],
  ]);
  if (affected !== 1) return { ...seen, won: false };
  return {
    won: true,
    attempt: next.attempt,
    previous: next.previous,
    steps: next.isNew ? null : seen['steps'],
  };
}

/** What the record becomes when the claim gets it. */
function nextRun(seen: Row) {
  if (seen['is_over'] === true) {
    return { isNew: 1, attempt: 1, previous: 0, ownerFound: null, stepsFound: null };
  }
  const attempt = Number(seen['attempt']);
  if (seen['is_again'] === true) {
    const { previous, owner_found: ownerFound, steps_found: stepsFound } = seen;
    return { isNew: 0, attempt, previous, ownerFound, stepsFound };
  }
  const { released, owner, steps_length: stepsFound } = seen;
  return {
    isNew: 0,
    attempt: attempt + 1,
    previous: released === true ? 1 : 2,
    ownerFound: owner,
    stepsFound,
  };
}
