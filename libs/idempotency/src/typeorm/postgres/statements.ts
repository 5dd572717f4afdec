import { upsertedClaim } from '../upserted-claim.js';

/**
 * Every SQL statement of the storage for PostgreSQL 12 and later. `table` is quoted. Each is atomic by itself, holds
 * no lock after its end, and judges time by `clock_timestamp()`: `now()` would be the start of the transaction.
 *
 * A record with `state` 0 is in progress, with 1 completed. `owner` is null when the claim was given up.
 */

/** Nobody's token: the owner of a record that is expired, and whose last owner is not known any more. */
const NOBODY = `'00000000-0000-0000-0000-000000000000'::uuid`;

/**
 * Whether a claim with fingerprint $2, owner $3 and take-over $6 may have the row at the given time. Null when the row
 * is none of ours, and then it may not.
 */
const claimable = (now: string) => `(r.expires_at <= ${now} or (
      r.state = 0 and r.attempt > 0 and r.fingerprint = $2 and (
        r.owner is null or r.owner = $3::uuid or ($6::boolean and r.lease_until <= ${now}))))`;

const secondsUntil = (column: string) => `extract(epoch from ${column} - clock_timestamp())::float8`;

/**
 * Purpose: asks to run. Reads alone when the answer is not `claimed`. Waits for no lock on an existing row.
 * $1 id, $2 fingerprint, $3 owner token, $4 lease in ms, $5 lease and keeping time in ms, $6 take over an expired lease
 * Returns one row: `won` true with attempt, previous (0 none, 1 released, 2 expired) and steps; `won` false with the
 * record as it is, where `claimable` true says that somebody else has it locked or has just changed it: ask again.
 * Returns no row when another claim came first that the snapshot of this statement cannot show: ask again.
 */
export const claim = (table: string) => `
with found as materialized (
  select r.state, r.attempt, r.fingerprint, r.owner, r.lease_until, r.expires_at, r.result,
    ${claimable('clock_timestamp()')} as claimable
  from ${table} r where r.id = $1),
locked as materialized (
  select from ${table} r where r.id = $1 and (select claimable from found) for no key update skip locked),
won as (
  insert into ${table} as r
    (id, state, attempt, previous, owner, fingerprint, created_at, lease_until, expires_at)
  select $1, 0, 1, 0, $3::uuid, $2, now, now + $4::float8 * interval '1 ms', now + $5::float8 * interval '1 ms'
  from clock_timestamp() as now
  where not exists (select from found) or exists (select from locked)
  on conflict (id) do update set ${upsertedClaim('octet_length')}
  where ${claimable('excluded.created_at')}
  returning r.attempt, r.previous, r.steps)
select true as won, null as claimable, null as state, attempt, previous, null as fingerprint, null as released,
  null as lease_s, null as expires_s, steps, null as result
from won
union all
select false, claimable, state, attempt, null, fingerprint, owner is null, ${secondsUntil('lease_until')},
  ${secondsUntil('expires_at')}, null, result
from found where not exists (select from won)`;

/**
 * Purpose: extends leases; skips rows that are locked at this moment instead of waiting for them.
 * $1 ids, $2 owner tokens, $3 leases in ms: arrays of one length
 * Returns a row per claim, in order: `owned` when the row was the claim's own as the statement began; `settled` when it
 * was renewed, or is completed and needs no lease. Owned and not settled: somebody has it locked, or just had.
 */
export const renew = (table: string) => `
with asked as materialized (
  select * from unnest($1::text[], $2::uuid[], $3::float8[]) with ordinality as a (id, owner, lease_ms, place)),
held as materialized (
  select r.id, clock_timestamp() as now, a.lease_ms * interval '1 ms' as lease
  from asked a join ${table} r on r.id = a.id collate "C" and r.owner = a.owner
  where r.state = 0 and r.expires_at > clock_timestamp()
  for no key update of r skip locked),
renewed as (
  update ${table} r
  set lease_until = h.now + h.lease, expires_at = h.now + h.lease + (r.expires_at - r.lease_until)
  from held h where r.id = h.id
  returning r.id)
select r.id is not null as owned,
  r.state = 1 or exists (select from renewed n where n.id = a.id collate "C") as settled
from asked a
left join ${table} r on r.id = a.id collate "C" and r.owner = a.owner and r.expires_at > clock_timestamp()
order by a.place`;

/**
 * Purpose: stores the result. A record that the same owner completed before stays as it is.
 * $1 id, $2 owner token, $3 result, $4 ttl in ms
 * Changes one row: applied. None: lease lost.
 */
export const complete = (table: string) => `
update ${table} r set
  state = 1,
  result = case when r.state = 1 then r.result else $3::bytea end,
  expires_at = case when r.state = 1 then r.expires_at else clock_timestamp() + $4::float8 * interval '1 ms' end
where r.id = $1 and r.owner = $2::uuid and r.state in (0, 1) and r.expires_at > clock_timestamp()`;

/**
 * Purpose: gives a claim up, for a retry to come.
 * $1 id, $2 owner token
 * Changes one row: applied. None: lease lost.
 */
export const release = (table: string) => `
update ${table} r set
  owner = null,
  lease_until = clock_timestamp(),
  expires_at = clock_timestamp() + (r.expires_at - r.lease_until)
where r.id = $1 and r.owner = $2::uuid and r.state = 0 and r.expires_at > clock_timestamp()`;

/**
 * Purpose: undoes a claim: the record goes back to what the claim found, also to its owner, who may be alive after all.
 * What that owner's own claim had found is known for a first attempt alone.
 * $1 id, $2 owner token
 * Returns one row: applied. None: lease lost.
 */
export const undoClaim = (table: string) => `
with removed as (
  delete from ${table} r
  where r.id = $1 and r.owner = $2::uuid and r.state = 0 and r.expires_at > clock_timestamp() and r.previous = 0
  returning true),
restored as (
  update ${table} r set
    attempt = r.attempt - 1,
    previous = case when r.attempt = 2 then 0 else 2 end,
    owner = r.owner_found,
    owner_found = case when r.attempt = 2 then null else ${NOBODY} end,
    steps = substring(r.steps from 1 for coalesce(r.steps_found, 0)),
    lease_until = clock_timestamp(),
    expires_at = clock_timestamp() + (r.expires_at - r.lease_until)
  where r.id = $1 and r.owner = $2::uuid and r.state = 0 and r.expires_at > clock_timestamp() and r.previous <> 0
  returning true)
select * from removed union all select * from restored`;

/**
 * Purpose: appends to the log of steps (step-log.ts).
 * $1 id, $2 owner token, $3 entry
 * Changes one row: applied. None: lease lost.
 */
export const saveStep = (table: string) => `
update ${table} r set steps = coalesce(r.steps, '') || $3::bytea
where r.id = $1 and r.owner = $2::uuid and r.state = 0 and r.expires_at > clock_timestamp()`;

const VIEW = `r.id, r.state, r.attempt, r.fingerprint, r.owner is null as released, ${secondsUntil('r.lease_until')} as lease_s,
  ${secondsUntil('r.expires_at')} as expires_s, -${secondsUntil('r.created_at')} as age_s, r.steps, r.result`;

/**
 * Purpose: shows a record.
 * $1 id
 * Returns its row, or none when there is none or its keeping time is over.
 */
export const get = (table: string) => `
select ${VIEW} from ${table} r where r.id = $1 and (r.expires_at <= clock_timestamp()) is not true`;

/**
 * Purpose: the next page of a walk in the order of ids.
 * $1 last id of the page before or null, $2 pattern for LIKE, $3 state or null, $4 least age in ms, $5 most rows,
 * $6 most bytes of steps and results before the last row
 * Returns at least one row, or none when the walk is over.
 */
export const find = (table: string) => `
with page as materialized (
  select r.id, coalesce(octet_length(r.steps), 0) + coalesce(octet_length(r.result), 0) as size
  from ${table} r
  where ($1::text is null or r.id > $1) and r.id like $2 and ($3::int is null or r.state = $3)
    and r.created_at <= clock_timestamp() - $4::float8 * interval '1 ms'
    and (r.expires_at <= clock_timestamp()) is not true
  order by r.id limit $5::int),
weighed as (
  select id, sum(size) over (order by id) - size as before from page)
select ${VIEW} from weighed w join ${table} r on r.id = w.id where w.before <= $6::float8 order by r.id`;

/**
 * Purpose: removes a record whatever its state.
 * $1 id
 * Returns one row with `live`: its keeping time was not over. None: there was none.
 */
export const forget = (table: string) => `
delete from ${table} r where r.id = $1 returning (r.expires_at <= clock_timestamp()) is not true as live`;

/**
 * Purpose: removes records whose keeping time is over, the oldest first; leaves rows to others who have them locked.
 * $1 most rows
 * Changes as many rows as it removed. (A subselect makes the time a constant that an index can be asked with.)
 */
export const purge = (table: string) => `
delete from ${table} where id = any (array(
  select r.id from ${table} r where r.expires_at <= (select clock_timestamp())
  order by r.expires_at limit $1::bigint for update skip locked))`;

/**
 * Purpose: what there is, to be compared with what is needed, at start.
 * $1 table, quoted
 * Returns one row: `version`; `found`; `schema`; `columns` as `name type collation`; `unique_id`; `may_write`; `place` for
 * messages.
 */
export const inspect = `
select current_setting('server_version_num')::int as version,
  c.oid is not null as found,
  (select n.nspname from pg_class t join pg_namespace n on n.oid = t.relnamespace where t.oid = c.oid) as schema,
  array(
    select a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || coalesce(' ' || nullif(l.collname, 'default'), '')
    from pg_attribute a left join pg_collation l on l.oid = a.attcollation
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
  exists (
    select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null and i.indnkeyatts = 1
      and a.attname = 'id') as unique_id,
  coalesce(has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')
    and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete'), false) as may_write,
  format('database %s, user %s, search_path %s', current_database(), current_user, current_setting('search_path'))
    as place
from (select to_regclass($1)::oid as oid) c`;
