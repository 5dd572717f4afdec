/**
 * Every SQL statement of the outbox for PostgreSQL 12 and later, for a quoted table (message-store.ts says what the columns
 * mean). Each is atomic by itself and judges time by the server's clock, at the statement's start: an index can be asked with
 * that, and a lease that begins a little early ends early, for its owner has begun to count earlier still.
 *
 * Where one index must be taken, the order that is asked for is one that no other index has; and what is looked up by
 * `sequence` says its other conditions as `(…) is true`, which no index has either.
 */

const NOW = 'statement_timestamp()';
const ms = (parameter: string) => `${parameter}::float8 * interval '1 ms'`;
const epochMs = (column: string) => `(extract(epoch from ${column}) * 1000)::float8`;
const waiting = (alias: string) => `${alias}.delivered_at is null and ${alias}.died_at is null`;
const claimable = (alias: string) => `(${waiting(alias)} and ${alias}.due_at <= ${NOW}) is true`;

/**
 * Due messages, those that have waited longest first; of aggregates that are not among the excluded ones. Then their heads,
 * as far as they may be sent; a message without an aggregate is its own.
 */
const candidates = (table: string, excluded: string, window: string) => `
scan as materialized (
  select m.sequence, m.aggregate from ${table} m
  where ${waiting('m')} and m.due_at <= ${NOW} and (m.aggregate = any (${excluded}::text[])) is not true
  order by m.due_at, m.sequence limit ${window}::bigint),
first as materialized (
  select f.sequence, f.aggregate, f.died_at is null and f.due_at <= ${NOW} as claimable
  from (select distinct s.aggregate from scan s where s.aggregate is not null) a
  cross join lateral (
    select p.sequence, p.aggregate, p.died_at, p.due_at from ${table} p
    where p.delivered_at is null and p.aggregate >= a.aggregate
    order by p.aggregate, p.sequence limit 1) f),
candidate as materialized (
  select s.sequence from scan s where s.aggregate is null
  union all
  select f.sequence from first f where f.claimable)`;

/**
 * Purpose: leases heads, and what stands right behind each of them; skips rows that are locked at this moment.
 * $1 owner, $2 lease in ms, $3 most messages, $4 most of one aggregate, $5 how many due messages are looked at,
 * $6 aggregates not to look at
 * Returns one row at least: `scanned`, how many were looked at; `seen`, their aggregates, where looking at more may find more;
 * and a claimed message, where `sequence` is not null.
 *
 * A head is still the head when it is locked: what stood before it has been delivered for good. Whoever takes part of what is
 * behind a head takes it from the front: nothing behind a row that is locked, leased or not due.
 */
export const claim = (table: string) => `
with ${candidates(table, '$6', '$5')},
head as materialized (
  select m.sequence, m.aggregate from ${table} m
  where m.sequence = any (array(select c.sequence from candidate c)) and ${claimable('m')}
  order by m.sequence limit $3::bigint for update skip locked),
run as materialized (
  select h.sequence, h.sequence as head from head h
  union all
  select f.sequence, h.sequence from head h
  cross join lateral (
    select p.aggregate, p.sequence from ${table} p
    where p.delivered_at is null and (p.aggregate, p.sequence) > (h.aggregate, h.sequence)
    order by p.aggregate, p.sequence limit $4::bigint - 1) f
  where f.aggregate = h.aggregate
  order by 1 limit $3::bigint),
follower as materialized (
  select m.sequence from ${table} m
  where m.sequence = any (array(select r.sequence from run r where r.sequence <> r.head)) and ${claimable('m')}
  for update skip locked),
taken as materialized (
  select r.sequence, bool_and(r.sequence = r.head or f.sequence is not null) over (partition by r.head order by r.sequence) as whole
  from run r left join follower f on f.sequence = r.sequence),
claimed as (
  update ${table} m set owner = $1::uuid, due_at = ${NOW} + ${ms('$2')}, attempts = m.attempts + 1
  where m.sequence = any (array(select t.sequence from taken t where t.whole))
  returning m.*)
select s.scanned, s.seen, c.sequence::text, c.id, c.aggregate, c.pattern, c.payload, c.headers, c.correlation_id,
  c.attempts, ${epochMs('c.added_at')} as added_ms
from (
  select (select count(*) from scan)::int as scanned,
    case when (select count(*) from scan) >= $5 and (select count(*) from claimed) < $3
      then array(select f.aggregate from first f) end as seen) s
left join claimed c on true`;

/**
 * Purpose: when something may be claimed.
 * Returns one row: `due_in_ms`, 0 when something may be now, null when nothing waits for a time.
 */
export const nextDue = (table: string) => `
with ${candidates(table, `'{}'`, 'null')}
select case when exists (select from candidate) then 0
  else (
    select ${epochMs('m.due_at')} - ${epochMs(NOW)} from ${table} m
    where ${waiting('m')} and m.due_at > ${NOW} order by m.due_at, m.sequence limit 1) end as due_in_ms`;

/**
 * Purpose: inserts messages in the order of the arrays.
 * $1 ids, $2 aggregates, $3 patterns, $4 payloads, $5 headers, $6 correlation ids
 */
export const insert = (table: string) => `
insert into ${table} (id, aggregate, pattern, payload, headers, correlation_id)
select n.id, n.aggregate, n.pattern, n.payload, n.headers, n.correlation_id
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
  with ordinality as n (id, aggregate, pattern, payload, headers, correlation_id, place)
order by n.place`;

/**
 * Purpose: marks what is published.
 * $1 owner, $2 sequences
 * Changes the rows that still are the owner's.
 */
export const delivered = (table: string) => `
update ${table} m set delivered_at = ${NOW}, owner = null
where m.sequence = any ($2::bigint[]) and (m.owner = $1::uuid and ${waiting('m')}) is true`;

/** What is given back untried stands where it stood. */
const GIVEN_BACK = 'owner = null, due_at = m.added_at, attempts = greatest(m.attempts - 1, 0)';

/**
 * Purpose: notes that a message could not be published, and gives back what else of its aggregate the owner has.
 * $1 owner, $2 sequence, $3 error, $4 ms until the next try, or null: never
 * Returns a row when the message still was the owner's.
 */
export const failed = (table: string) => `
with failed as (
  update ${table} m set owner = null, error = $3,
    due_at = case when $4::float8 is null then m.due_at else ${NOW} + ${ms('$4')} end,
    died_at = case when $4::float8 is null then ${NOW} end
  where m.sequence = $2::bigint and (m.owner = $1::uuid and ${waiting('m')}) is true
  returning m.aggregate),
rest as (
  update ${table} m set ${GIVEN_BACK}
  where m.owner = $1::uuid and m.sequence <> $2::bigint and m.aggregate = (select f.aggregate from failed f))
select 1 as failed from failed`;

/**
 * Purpose: gives back what an owner still has.
 * $1 owner
 */
export const release = (table: string) => `
update ${table} m set ${GIVEN_BACK} where m.owner = $1::uuid`;

/**
 * Purpose: removes what was delivered long enough ago, the oldest first; leaves rows to others who have them locked.
 * $1 ms, $2 most rows
 * Changes as many rows as it removed.
 */
export const purge = (table: string) => `
delete from ${table} where sequence = any (array(
  select m.sequence from ${table} m where m.delivered_at <= ${NOW} - ${ms('$1')}
  order by m.delivered_at limit $2::bigint for update skip locked))`;

/** Purpose: one row of `waiting`, `held_back`, `dead`, `oldest_ms`. */
export const counts = (table: string) => `
select w.waiting, w.oldest_ms,
  (select count(*) from ${table} m where m.delivered_at is null and m.died_at is not null)::int as dead,
  (select count(*) from (
      select m.aggregate, min(m.sequence) as sequence from ${table} m
      where m.delivered_at is null and m.died_at is not null and m.aggregate is not null group by m.aggregate) d
    join ${table} m on m.aggregate = d.aggregate and m.sequence > d.sequence and ${waiting('m')})::int as held_back
from (
  select count(*)::int as waiting, coalesce(${epochMs(`${NOW} - min(m.added_at)`)}, 0) as oldest_ms
  from ${table} m where ${waiting('m')}) w`;

/**
 * Purpose: counts what of an aggregate is undelivered.
 * $1 aggregate
 */
export const undelivered = (table: string) => `
select count(*)::int as undelivered from ${table} m where m.aggregate = $1 and m.delivered_at is null`;

/**
 * Purpose: dead letters, those that died first first.
 * $1 most rows
 */
export const deadLetters = (table: string) => `
select m.sequence::text, m.id, m.aggregate, m.pattern, m.payload, m.headers, m.correlation_id, m.attempts, m.error,
  ${epochMs('m.added_at')} as added_ms, ${epochMs('m.died_at')} as died_ms,
  (select count(*) from ${table} p
    where p.aggregate = m.aggregate and p.sequence > m.sequence and ${waiting('p')})::int as held_back
from ${table} m where m.delivered_at is null and m.died_at is not null
order by m.died_at limit $1::bigint`;

/**
 * Purpose: what becomes of a dead letter.
 * $1 id
 * Changes one row, or none when there is no such dead letter.
 */
export const redeliver = (table: string) => `
update ${table} m set died_at = null, attempts = 0, due_at = ${NOW}
where m.id = $1 and m.died_at is not null and m.delivered_at is null`;
export const discard = (table: string) => `
update ${table} m set delivered_at = ${NOW} where m.id = $1 and m.died_at is not null and m.delivered_at is null`;
