/** In an upsert: the row is past its keeping time, so nothing of it counts; or the same claim asks again. */
const OVER = 'r.expires_at <= excluded.created_at';
const AGAIN = 'r.owner = excluded.owner';

/**
 * What a claim makes of a row that it may have, where `insert … on conflict do update` is known: PostgreSQL and SQLite.
 * `r` is the row as it was found, `excluded` what the claim has brought.
 *
 * @param bytesOf the function of the database that counts the bytes of a column
 */
export const upsertedClaim = (bytesOf: 'octet_length' | 'length') => `
    state = 0,
    attempt = case when ${OVER} then 1 when ${AGAIN} then r.attempt else r.attempt + 1 end,
    previous = case when ${OVER} then 0 when ${AGAIN} then r.previous when r.owner is null then 1 else 2 end,
    owner_found = case when ${OVER} then null when ${AGAIN} then r.owner_found else r.owner end,
    owner = excluded.owner,
    fingerprint = excluded.fingerprint,
    created_at = case when ${OVER} then excluded.created_at else r.created_at end,
    lease_until = excluded.lease_until,
    expires_at = excluded.expires_at,
    steps_found = case when ${OVER} then null when ${AGAIN} then r.steps_found else ${bytesOf}(r.steps) end,
    steps = case when ${OVER} then null else r.steps end,
    result = null`;
