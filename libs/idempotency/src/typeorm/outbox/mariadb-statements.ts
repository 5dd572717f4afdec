import { MARIADB_INDEXES } from './tables.js';

/**
 * Every SQL statement of the outbox that MariaDB 10.6 and MySQL 8.0.19 have in common, for a quoted table (message-store.ts says
 * what the columns mean). They run in sessions of the application, whatever those are set to: what changes or locks rows is
 * told to be READ COMMITTED (`READ_COMMITTED`) before, so that it locks no gaps; time is milliseconds since 1970 by the server's
 * clock, without a time zone, at the statement's start, so that an index can be asked with it. Indices are named: an optimizer that
 * takes another one would read what was delivered in a week, or lock it.
 */

const NOW = `(timestampdiff(microsecond, '1970-01-01', utc_timestamp(6)) div 1000)`;
const ALL = '18446744073709551615';
const { due, heads, owner, delivered: deliveredIndex } = MARIADB_INDEXES;
const waiting = (alias: string) => `${alias}.delivered_at is null and ${alias}.died_at is null`;
const claimable = (alias: string) => `${waiting(alias)} and ${alias}.due_at <= ${NOW}`;
const MESSAGE =
  'cast(m.sequence as char) as sequence, m.id, m.aggregate, m.pattern, m.payload, m.headers, m.correlation_id, m.attempts, m.added_at as added_ms';

/** For the transaction that begins next, be it of one statement. */
export const READ_COMMITTED = 'set transaction isolation level read committed';

const listOf = (count: number) => Array.from({ length: count }, () => '?').join(', ');

/** Due messages, those that have waited longest first, by aggregate: the head of each, and how many there are of all. */
const headsOfDue = (table: string, window: string, excluded = '') => `
select g.aggregate, g.scanned, h.sequence, (${claimable('h')}) as claimable
from (
  select s.aggregate, sum(count(*)) over () as scanned, case when s.aggregate is null then min(s.sequence) else (
    select p.sequence from ${table} p force index (${heads})
    where p.aggregate = s.aggregate and p.delivered_at is null order by p.sequence limit 1) end as head
  from (
    select m.sequence, m.aggregate from ${table} m force index (${due})
    where ${claimable('m')} ${excluded}
    order by m.due_at, m.sequence limit ${window}) s
  group by s.aggregate, case when s.aggregate is null then s.sequence end) g
straight_join ${table} h force index (primary) on h.sequence = g.head`;

/**
 * Purpose: what may be claimed; locks nothing, so it is to be looked at again when it is locked.
 * ? aggregates not to look at, as many as are said, ? how many due messages are looked at, ? most rows
 * Returns a row per aggregate, and per message of none, among these: `aggregate`, `sequence` of its head, `claimable`; those
 * that are first. In each row `scanned`: how many were looked at.
 */
export const candidates = (table: string, excluded: number) => `
select c.aggregate, cast(c.sequence as char) as sequence, c.claimable, cast(c.scanned as char) as scanned
from (${headsOfDue(table, '?', excluded === 0 ? '' : `and (m.aggregate is null or m.aggregate not in (${listOf(excluded)}))`)}) c
order by c.claimable desc, c.sequence limit ?`;

/**
 * Purpose: locks messages that may be claimed; skips rows that are locked at this moment.
 * ? sequences, as many as are said, ? most rows
 * Returns the messages, as they were before.
 */
export const lock = (table: string, sequences: number) => `
select ${MESSAGE} from ${table} m force index (primary)
where m.sequence in (${listOf(sequences)}) and ${claimable('m')}
order by m.sequence limit ? for update skip locked`;

/**
 * Purpose: what stands right behind heads.
 * For each: ? sequence of the head, ? its aggregate, ? sequence of the head, ? most of them
 * Returns `head` and `sequence`.
 */
export const followers = (table: string, count: number) =>
  Array.from(
    { length: count },
    () => `(select cast(? as char) as head, cast(p.sequence as char) as sequence from ${table} p force index (${heads})
  where p.aggregate = ? and p.delivered_at is null and p.sequence > ? order by p.sequence limit ?)`,
  ).join('\nunion all\n');

/**
 * Purpose: leases what is locked.
 * ? owner, ? lease in ms, ? sequences, as many as are said
 */
export const lease = (table: string, sequences: number) => `
update ${table} m force index (primary) set m.owner = ?, m.due_at = ${NOW} + ?, m.attempts = m.attempts + 1
where m.sequence in (${listOf(sequences)})`;

/**
 * Purpose: when something may be claimed.
 * Returns one row: `due_in_ms`, 0 when something may be now, null when nothing waits for a time.
 */
export const nextDue = (table: string) => `
select case when exists (select 1 from (${headsOfDue(table, ALL)}) c where c.claimable) then 0
  else (
    select m.due_at - ${NOW} from ${table} m force index (${due})
    where ${waiting('m')} and m.due_at > ${NOW} order by m.due_at limit 1) end as due_in_ms`;

/**
 * Purpose: inserts messages in this order.
 * For each: ? id, ? aggregate, ? pattern, ? payload, ? headers, ? correlation id
 */
export const insert = (table: string, rows: number) => `
insert into ${table} (id, aggregate, pattern, payload, headers, correlation_id, added_at, due_at) values
${Array.from({ length: rows }, () => `(?, ?, ?, ?, ?, ?, ${NOW}, ${NOW})`).join(',\n')}`;

/**
 * Purpose: marks what is published.
 * ? owner, ? sequences, as many as are said
 * Changes the rows that still are the owner's.
 */
export const delivered = (table: string, sequences: number) => `
update ${table} m force index (primary) set m.owner = null, m.delivered_at = ${NOW}
where m.owner = ? and m.sequence in (${listOf(sequences)}) and ${waiting('m')}`;

/**
 * Purpose: notes that a message could not be published, and is tried again, or never.
 * ? error, ? ms until the next try; ? error; then ? owner, ? sequence
 * Changes one row when the message still was the owner's.
 */
export const retried = (table: string) => `
update ${table} m force index (primary) set m.owner = null, m.error = ?, m.due_at = ${NOW} + ?
where m.owner = ? and m.sequence = ? and ${waiting('m')}`;
export const died = (table: string) => `
update ${table} m force index (primary) set m.owner = null, m.error = ?, m.died_at = ${NOW}
where m.owner = ? and m.sequence = ? and ${waiting('m')}`;

/** What is given back untried stands where it stood. */
const GIVEN_BACK = 'm.owner = null, m.due_at = m.added_at, m.attempts = greatest(m.attempts - 1, 0)';

/**
 * Purpose: gives back what an owner still has of the aggregate of a message.
 * ? sequence of the message, ? owner
 */
export const releaseAggregate = (table: string) => `
update (select f.aggregate from ${table} f force index (primary) where f.sequence = ?) a
straight_join ${table} m force index (${owner}) on m.aggregate = a.aggregate
set ${GIVEN_BACK} where m.owner = ?`;

/**
 * Purpose: gives back what an owner still has.
 * ? owner
 */
export const release = (table: string) => `
update ${table} m force index (${owner}) set ${GIVEN_BACK} where m.owner = ?`;

/**
 * Purpose: removes what was delivered long enough ago, the oldest first; leaves rows to others who have them locked.
 * ? ms, ? most rows
 * Changes as many rows as it removed.
 */
export const purge = (table: string) => `
delete r from (
  select m.sequence from ${table} m force index (${deliveredIndex}) where m.delivered_at <= ${NOW} - ?
  order by m.delivered_at, m.sequence limit ? for update skip locked) x
straight_join ${table} r force index (primary) on r.sequence = x.sequence`;

/** Purpose: one row of `waiting`, `held_back`, `dead`, `oldest_ms`. */
export const counts = (table: string) => `
select w.waiting, coalesce(${NOW} - (select o.added_at from ${table} o where o.sequence = w.oldest), 0) as oldest_ms,
  (select count(*) from ${table} m force index (${due}) where m.delivered_at is null and m.died_at is not null) as dead,
  (select count(*) from (
      select m.aggregate, min(m.sequence) as sequence from ${table} m force index (${due})
      where m.delivered_at is null and m.died_at is not null and m.aggregate is not null group by m.aggregate) d
    straight_join ${table} m force index (${heads})
      on m.aggregate = d.aggregate and m.sequence > d.sequence and ${waiting('m')}) as held_back
from (
  select count(*) as waiting, min(m.sequence) as oldest from ${table} m force index (${due}) where ${waiting('m')}) w`;

/**
 * Purpose: counts what of an aggregate is undelivered.
 * ? aggregate
 */
export const undelivered = (table: string) => `
select count(*) as undelivered from ${table} m force index (${heads}) where m.aggregate = ? and m.delivered_at is null`;

/**
 * Purpose: dead letters, those that died first first.
 * ? most rows
 */
export const deadLetters = (table: string) => `
select ${MESSAGE}, m.error, m.died_at as died_ms, (
  select count(*) from ${table} p force index (${heads})
  where p.aggregate = m.aggregate and p.sequence > m.sequence and ${waiting('p')}) as held_back
from ${table} m force index (${due}) where m.delivered_at is null and m.died_at is not null
order by m.died_at limit ?`;

/**
 * Purpose: what becomes of a dead letter.
 * ? id
 * Changes one row, or none when there is no such dead letter.
 */
export const redeliver = (table: string) => `
update ${table} m set m.due_at = ${NOW}, m.attempts = 0, m.died_at = null
where m.id = ? and m.died_at is not null and m.delivered_at is null`;
export const discard = (table: string) => `
update ${table} m set m.delivered_at = ${NOW} where m.id = ? and m.died_at is not null and m.delivered_at is null`;
