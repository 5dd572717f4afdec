import type { ClaimRequest } from '../../core/idempotency-storage.js';
import type { Row } from '../rows.js';
import type { Ask } from './mariadb-records.js';
import { CLOCK, secondsUntil } from './statements.js';

/** The row is past its keeping time, so nothing of it counts; or the same claim asks again. */
const OVER = 'r.expires_at <= moment';
const AGAIN = 'r.owner = token';

/** Whether the claim may have the row at the moment. Null when the row is none of ours, and then it may not. */
const CLAIMABLE = `(${OVER} or (r.state = 0 and r.attempt > 0 and r.fingerprint = asked_fingerprint
    and (r.owner is null or ${AGAIN} or (take_over and r.lease_until <= moment))))`;

/**
 * Purpose: asks to run. Reads alone when the answer is not `won`. Waits for no lock on an existing row, and a second at most for one that is being inserted.
 * ? id, ? fingerprint, ? owner token, ? lease in ms, ? keeping time in ms, ? take over an expired lease
 * Returns one row: `won` 1 with attempt, previous (0 none, 1 released, 2 expired) and steps; `won` 0 with the record as
 * it is, where `claimable` 1 says that somebody else has it locked or has just changed it: ask again.
 * Returns no row when the record has gone, or was taken over, within this statement: ask again.
 *
 * A block is one round trip; each statement in it is a transaction by itself and sees what was committed before it. So
 * what decides is the one INSERT, by its primary key, or the one UPDATE, which asks again about the row that it has locked;
 * a statement that fails has changed nothing, and one whose answer is lost may be sent again.
 */
export const claim = (table: string) => `
begin not atomic
  declare asked_id varbinary(2048) default ?;
  declare asked_fingerprint varbinary(255) default ?;
  declare token char(36) character set ascii collate ascii_bin default ?;
  declare lease_ms bigint default ?;
  declare keep_ms bigint default ?;
  declare take_over boolean default ?;
  declare moment bigint default ${CLOCK};
  declare free boolean;
  declare changed int default 0;
  select coalesce(${CLAIMABLE}, false) into free from ${table} r where r.id = asked_id;
  if free is null then
    begin
      declare exit handler for 1062 begin end;
      insert into ${table} (id, state, attempt, previous, owner, fingerprint, created_at, lease_until, expires_at)
      values (asked_id, 0, 1, 0, token, asked_fingerprint, moment, moment + lease_ms, moment + lease_ms + keep_ms);
      set changed = row_count();
    end;
  elseif free then
    begin
      declare exit handler for 1205 begin end;
      set moment = ${CLOCK};
      set statement innodb_lock_wait_timeout = 0 for update ${table} r set
        r.owner_found = case when ${OVER} then null when ${AGAIN} then r.owner_found else r.owner end,
        r.previous = case when ${OVER} then 0 when ${AGAIN} then r.previous when r.owner is null then 1 else 2 end,
        r.attempt = case when ${OVER} then 1 when ${AGAIN} then r.attempt else r.attempt + 1 end,
        r.steps_found = case when ${OVER} then null when ${AGAIN} then r.steps_found else octet_length(r.steps) end,
        r.steps = case when ${OVER} then null else r.steps end,
        r.created_at = case when ${OVER} then moment else r.created_at end,
        r.state = 0,
        r.result = null,
        r.fingerprint = asked_fingerprint,
        r.owner = token,
        r.lease_until = moment + lease_ms,
        r.expires_at = moment + lease_ms + keep_ms
      where r.id = asked_id and ${CLAIMABLE};
      set changed = row_count();
    end;
  end if;
  if changed > 0 then
    select 1 as won, r.attempt, r.previous, r.steps from ${table} r
    where r.id = asked_id and r.owner = token and r.state = 0;
  else
    set moment = ${CLOCK};
    select 0 as won, ${CLAIMABLE} as claimable, r.state, r.attempt, r.fingerprint, r.owner is null as released,
      ${secondsUntil('r.lease_until')} as lease_s, ${secondsUntil('r.expires_at')} as expires_s, r.result
    from ${table} r where r.id = asked_id;
  end if;
end`;

export async function claimOnMariaDb(ask: Ask, id: Buffer, request: ClaimRequest): Promise<Row | undefined> {
  const { fingerprint, ownerToken, leaseMs, keepMs, takeOver } = request;
  const values = [id, Buffer.from(fingerprint), ownerToken, leaseMs, keepMs, takeOver ? 1 : 0];
  return (await ask('claim', claim, values)).rows[0];
}
