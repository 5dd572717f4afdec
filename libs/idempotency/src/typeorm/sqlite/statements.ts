import { upsertedClaim } from '../upserted-claim.js';

/**
 * Every SQL statement of the storage for SQLite 3.42 and later. `table` is quoted. Times are milliseconds since 1970 by
 * the clock of the host: SQLite has no server. What changes a record runs in a transaction that has the write lock from
 * its start, so no statement meets a row that somebody else is changing.
 *
 * A record with `state` 0 is in progress, with 1 completed. `owner` is null when the claim was given up.
 */

/** Nobody's token: the owner of a record that is expired, and whose last owner is not known any more. */
const NOBODY = `'00000000-0000-0000-0000-000000000000'`;

/** One moment for the whole statement, and another one for the next, also within one transaction. */
const NOW = `cast(round(unixepoch('subsec') * 1000) as integer)`;

/** The driver binds every number as floating point. */
const inMs = (parameter: string) => `${NOW} + cast(round(${parameter}) as integer)`;

const secondsUntil = (column: string) => `(r.${column} - ${NOW}) / 1000.0`;

/**
 * Whether a claim with fingerprint $2, owner $3 and take-over $6 may have the row at the given time. Null when the row
 * is none of ours, and then it may not.
 */
const claimable = (now: string) => `(r.expires_at <= ${now} or (
      r.state = 0 and r.attempt > 0 and r.fingerprint = $2 and (
        r.owner is null or r.owner = $3 or ($6 and r.lease_until <= ${now}))))`;

/**
 * Purpose: what a claim finds. A replay is this alone, and waits for nobody who writes.
 * $1 id, $2 fingerprint, $3 owner token, $6 take over an expired lease
 * Returns the record as it is, or no row. `claimable`: ask `claim`.
 */
export const look = (table: string) => `
select 0 as won, ${claimable(NOW)} is true as claimable, r.state, r.attempt, r.fingerprint, r.owner is null as released,
  ${secondsUntil('lease_until')} as lease_s, ${secondsUntil('expires_at')} as expires_s, r.result
from ${table} as r where r.id = $1`;

/**
 * Purpose: claims, if it may.
 * $1 id, $2 fingerprint, $3 owner token, $4 lease in ms, $5 lease and keeping time in ms, $6 take over an expired lease
 * Returns one row: won. None: it may not, and `look` in the same transaction says why.
 */
export const claim = (table: string) => `
insert into ${table} as r (id, state, attempt, previous, owner, fingerprint, created_at, lease_until, expires_at)
values ($1, 0, 1, 0, $3, $2, ${NOW}, ${inMs('$4')}, ${inMs('$5')})
on conflict (id) do update set ${upsertedClaim('length')}
where ${claimable('excluded.created_at')}
returning 1 as won, 0 as claimable, attempt, previous, steps`;

/**
 * Purpose: extends one lease. A completed record needs none and stays as it is.
 * $1 id, $2 owner token, $3 lease in ms
 * Changes one row: applied. None: lease lost.
 */
export const renew = (table: string) => `
update ${table} as r set
  lease_until = case when r.state = 0 then ${inMs('$3')} else r.lease_until end,
  expires_at = case when r.state = 0 then ${inMs('$3')} + (r.expires_at - r.lease_until) else r.expires_at end
where r.id = $1 and r.owner = $2 and r.state in (0, 1) and r.expires_at > ${NOW}`;

/**
 * Purpose: stores the result. A record that the same owner completed before stays as it is.
 * $1 id, $2 owner token, $3 result, $4 ttl in ms
 * Changes one row: applied. None: lease lost.
 */
export const complete = (table: string) => `
update ${table} as r set
  state = 1,
  result = case when r.state = 1 then r.result else $3 end,
  expires_at = case when r.state = 1 then r.expires_at else ${inMs('$4')} end
where r.id = $1 and r.owner = $2 and r.state in (0, 1) and r.expires_at > ${NOW}`;

/**
 * Purpose: gives a claim up, for a retry to come.
 * $1 id, $2 owner token
 * Changes one row: applied. None: lease lost.
 */
export const release = (table: string) => `
update ${table} as r set
  owner = null,
  lease_until = ${NOW},
  expires_at = ${NOW} + (r.expires_at - r.lease_until)
where r.id = $1 and r.owner = $2 and r.state = 0 and r.expires_at > ${NOW}`;

/**
 * Purpose: undoes a claim that found nothing.
 * $1 id, $2 owner token
 * Changes one row: applied. None: the claim found something, and `restore` goes back to it; or the lease is lost.
 */
export const undoClaim = (table: string) => `
delete from ${table} as r
where r.id = $1 and r.owner = $2 and r.state = 0 and r.expires_at > ${NOW} and r.previous = 0`;

/**
 * Purpose: undoes any other claim: the record goes back to what the claim found, also to its owner, who may be alive
 * after all. What that owner's own claim had found is known for a first attempt alone.
 * $1 id, $2 owner token
 * Changes one row: applied. None: lease lost.
 */
export const restore = (table: string) => `
update ${table} as r set
  attempt = r.attempt - 1,
  previous = case when r.attempt = 2 then 0 else 2 end,
  owner = r.owner_found,
  owner_found = case when r.attempt = 2 then null else ${NOBODY} end,
  steps = substr(r.steps, 1, coalesce(r.steps_found, 0)),
  lease_until = ${NOW},
  expires_at = ${NOW} + (r.expires_at - r.lease_until)
where r.id = $1 and r.owner = $2 and r.state = 0 and r.expires_at > ${NOW} and r.previous <> 0`;

/**
 * Purpose: appends to the log of steps (step-log.ts). `||` gives its bytes the type of text.
 * $1 id, $2 owner token, $3 entry
 * Changes one row: applied. None: lease lost.
 */
export const saveStep = (table: string) => `
update ${table} as r set steps = cast(coalesce(r.steps, x'') || $3 as blob)
where r.id = $1 and r.owner = $2 and r.state = 0 and r.expires_at > ${NOW}`;

const VIEW = `r.id, r.state, r.attempt, r.fingerprint, r.owner is null as released,
  ${secondsUntil('lease_until')} as lease_s, ${secondsUntil('expires_at')} as expires_s,
  (${NOW} - r.created_at) / 1000.0 as age_s, r.steps, r.result`;

/**
 * Purpose: shows a record.
 * $1 id
 * Returns its row, or none when there is none or its keeping time is over.
 */
export const get = (table: string) => `
select ${VIEW} from ${table} as r where r.id = $1 and (r.expires_at <= ${NOW}) is not true`;

/**
 * Purpose: the next page of a walk in the order of ids.
 * $1 last id of the page before or null, $2 prefix, $3 bytes of the prefix and one that no text has, $4 state or null,
 * $5 least age in ms, $6 most rows, $7 most bytes of steps and results before the last row
 * Returns at least one row, or none when the walk is over.
 */
export const find = (table: string) => `
with page as materialized (
  select r.id, coalesce(length(r.steps), 0) + coalesce(length(r.result), 0) as size
  from ${table} as r
  where r.id >= $2 and r.id < cast($3 as text) and ($1 is null or r.id > $1) and ($4 is null or r.state = $4)
    and r.created_at <= ${NOW} - $5 and (r.expires_at <= ${NOW}) is not true
  order by r.id limit $6),
weighed as (
  select id, sum(size) over (order by id) - size as before from page)
select ${VIEW} from weighed as w join ${table} as r on r.id = w.id where w.before <= $7 order by r.id`;

/**
 * Purpose: removes a record whatever its state.
 * $1 id
 * Returns one row with `live`: its keeping time was not over. None: there was none.
 */
export const forget = (table: string) => `
delete from ${table} where id = $1 returning (expires_at <= ${NOW}) is not true as live`;

/**
 * Purpose: removes records whose keeping time is over, the oldest first.
 * $1 most rows
 * Changes as many rows as it removed.
 */
export const purge = (table: string) => `
delete from ${table} where id in (
  select r.id from ${table} as r where r.expires_at <= ${NOW} order by r.expires_at limit $1)`;
