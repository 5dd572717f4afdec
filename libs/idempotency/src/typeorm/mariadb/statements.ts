/**
 * Every SQL statement that MariaDB 10.6 and MySQL 8.0.19 have in common, for a quoted table. Each is atomic by itself,
 * holds no lock after its end, and judges time by the server's clock. The sessions are our own (session-settings.ts):
 * READ COMMITTED, UTC, strict; `affectedRows` counts the rows that matched.
 *
 * A record with `state` 0 is in progress, with 1 completed. `owner` is null when the claim was given up. Parameters
 * come in the order of their `?`. Assignments run from left to right: what others are made of is assigned last. A table of a
 * few rows is read as a whole if it is not told otherwise, and what changes rows would wait for every lock on any of them.
 */

/** Milliseconds since 1970. Not `now()`: that is the start of the statement, and may be over after a wait for a lock. */
export const CLOCK = `timestampdiff(microsecond, '1970-01-01', sysdate(6)) div 1000`;
/** A constant of the statement, which an index can be asked with. For questions where a late start does no harm. */
const START = `timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) div 1000`;

/** Nobody's token: the owner of a record that is expired, and whose last owner is not known any more. */
const NOBODY = `'00000000-0000-0000-0000-000000000000'`;

/** A derived table with a limit is made first, by itself: nothing else of the table is locked than what it finds. */
const ALL = '18446744073709551615';

/** Not divided: how many decimals a quotient has is a setting of the server (`div_precision_increment`). */
export const secondsUntil = (column: string) => `(${column} - ${CLOCK}) * 0.001`;

/** The claims of a renewal, as JSON: ids in hexadecimal digits, which no character set can change. */
const ASKED = `json_table(?, '$[*]' columns (
    place for ordinality, id varchar(4096) path '$.id', owner char(36) path '$.owner', lease_ms bigint path '$.leaseMs')) a`;
const OWN = 'r.id = unhex(a.id) and r.owner = cast(a.owner as binary)';

/**
 * Purpose: extends leases; skips rows that are locked at this moment instead of waiting for them.
 * ? claims (JSON)
 * Matches as many rows as it renewed.
 */
export const renew = (table: string) => `
update (
  select r.id, ${CLOCK} as moment, a.lease_ms, r.expires_at - r.lease_until as keep_ms
  from ${ASKED} straight_join ${table} r force index (primary) on ${OWN}
  where r.state = 0 and r.expires_at > ${CLOCK}
  limit ${ALL} for update skip locked) h
straight_join ${table} r force index (primary) on r.id = h.id
set r.expires_at = h.moment + h.lease_ms + h.keep_ms, r.lease_until = h.moment + h.lease_ms`;

/**
 * Purpose: what became of the claims of a renewal that did not renew them all.
 * ? milliseconds since before the renewal was sent, ? claims (JSON)
 * Returns a row per claim, in order: `owned`; `settled` when its lease lasts as long as if it had been renewed, or the
 * record is completed and needs none.
 */
export const renewed = (table: string) => `
select r.id is not null as owned,
  coalesce(r.state = 1 or r.lease_until >= ${CLOCK} + a.lease_ms - ?, false) as settled
from ${ASKED} left join ${table} r on ${OWN} and r.expires_at > ${CLOCK}
order by a.place`;

const completeBy = (clock: string) => (table: string) => `
update ${table} r set
  r.result = case when r.state = 1 then r.result else ? end,
  r.expires_at = case when r.state = 1 then r.expires_at else ${clock} + ? end,
  r.state = 1
where r.id = ? and r.owner = ? and r.state in (0, 1) and r.expires_at > ${clock}`;

/**
 * Purpose: stores the result. A record that the same owner completed before stays as it is.
 * ? result, ? ttl in ms, ? id, ? owner token
 * Matches one row: applied. None: lease lost.
 */
export const complete = completeBy(CLOCK);

/** The same in a session of the application, whose time zone is its own: `sysdate()` has no meaning there. */
export const completeInside = completeBy(START);

/**
 * Purpose: gives a claim up, for a retry to come.
 * ? id, ? owner token
 * Matches one row: applied. None: lease lost.
 */
export const release = (table: string) => `
update ${table} r set
  r.owner = null,
  r.expires_at = ${CLOCK} + (r.expires_at - r.lease_until),
  r.lease_until = ${CLOCK}
where r.id = ? and r.owner = ? and r.state = 0 and r.expires_at > ${CLOCK}`;

/**
 * Purpose: undoes a claim: the record goes back to what the claim found, also to its owner, who may be alive after all.
 * One that found nothing leaves a record past its keeping time, which is none. What the found owner's own claim had
 * found is known for a first attempt alone.
 * ? id, ? owner token
 * Matches one row: applied. None: lease lost.
 */
export const undoClaim = (table: string) => `
update ${table} r set
  r.owner = r.owner_found,
  r.owner_found = case when r.attempt = 2 then null else ${NOBODY} end,
  r.steps = substring(r.steps from 1 for coalesce(r.steps_found, 0)),
  r.expires_at = ${CLOCK} + case when r.previous = 0 then 0 else r.expires_at - r.lease_until end,
  r.lease_until = ${CLOCK},
  r.previous = case when r.attempt = 2 or r.previous = 0 then 0 else 2 end,
  r.attempt = greatest(r.attempt - 1, 1)
where r.id = ? and r.owner = ? and r.state = 0 and r.expires_at > ${CLOCK}`;

/**
 * Purpose: appends to the log of steps (step-log.ts).
 * ? entry, ? id, ? owner token
 * Matches one row: applied. None: lease lost.
 */
export const saveStep = (table: string) => `
update ${table} r set r.steps = concat(coalesce(r.steps, ''), ?)
where r.id = ? and r.owner = ? and r.state = 0 and r.expires_at > ${CLOCK}`;

const VIEW = `r.id, r.state, r.attempt, r.fingerprint, r.owner is null as released,
  ${secondsUntil('r.lease_until')} as lease_s, ${secondsUntil('r.expires_at')} as expires_s,
  -(${secondsUntil('r.created_at')}) as age_s, r.steps, r.result`;

/**
 * Purpose: shows a record.
 * ? id
 * Returns its row, or none when there is none or its keeping time is over.
 */
export const get = (table: string) => `
select ${VIEW} from ${table} r where r.id = ? and (r.expires_at <= ${CLOCK}) is not true`;

/**
 * Purpose: the next page of a walk in the order of ids.
 * ? last id of the page before or '', ? pattern for LIKE, ? state or null, ? again, ? least age in ms, ? most rows,
 * ? most bytes of steps and results before the last row
 * Returns at least one row, or none when the walk is over.
 */
export const find = (table: string) => `
select ${VIEW} from (
  select p.id, sum(p.size) over (order by p.id) - p.size as size_before from (
    select r.id, coalesce(octet_length(r.steps), 0) + coalesce(octet_length(r.result), 0) as size
    from ${table} r force index (primary)
    where r.id > ? and r.id like ? and (? is null or r.state = ?) and r.created_at <= ${CLOCK} - ?
      and (r.expires_at <= ${CLOCK}) is not true
    order by r.id limit ?) p) w
straight_join ${table} r on r.id = w.id
where w.size_before <= ? order by w.id`;

/**
 * Purpose: removes a record whatever its state. One past its keeping time is none, and left to the purge.
 * ? id
 * Matches one row: there was one. None: there was none.
 */
export const forget = (table: string) => `
delete from ${table} where id = ? and (expires_at <= ${CLOCK}) is not true`;

/**
 * Purpose: removes records whose keeping time is over, the oldest first; leaves rows to others who have them locked.
 * ? most rows
 * Changes as many rows as it removed.
 */
export const purge = (table: string) => `
delete r from (
  select o.id from ${table} o force index (idempotency_records_expires_at) where o.expires_at <= ${START}
  order by o.expires_at limit ? for update skip locked) x
straight_join ${table} r force index (primary) on r.id = x.id`;
