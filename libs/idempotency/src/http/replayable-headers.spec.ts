import { describe, expect, it } from '@jest/globals';
import { belongsToExchange, headerFilter } from './replayable-headers.js';

const HEADERS = ['content-type', 'content-length', 'location', 'x-request-id', 'set-cookie', 'date'];
const kept = (filter: (name: string) => boolean) => HEADERS.filter(filter);

describe('belongsToExchange', () => {
  it.each([
    'Connection',
    'Keep-Alive',
    'Transfer-Encoding',
    'Upgrade',
    'Date',
    'Set-Cookie',
    'Idempotent-Replayed',
    'Idempotency-Expires',
    'Idempotency-Status',
    'Access-Control-Allow-Origin',
    'RateLimit',
    'RateLimit-Policy',
    'X-RateLimit-Remaining',
    'X-Rate-Limit-Reset',
  ])('is true for %s', (name) => {
    expect(belongsToExchange(name)).toBe(true);
  });

  it.each(['Content-Type', 'ETag', 'Location', 'Retry-After', 'Vary', 'Cache-Control', 'X-Rate'])(
    'is false for %s',
    (name) => {
      expect(belongsToExchange(name)).toBe(false);
    },
  );
});

describe('headerFilter', () => {
  it('keeps all that does not belong to the exchange', () => {
    expect(kept(headerFilter(undefined))).toEqual([
      'content-type',
      'content-length',
      'location',
      'x-request-id',
    ]);
  });

  it('keeps what is included, and what a body cannot be understood without', () => {
    expect(kept(headerFilter({ include: ['Location'] }))).toEqual([
      'content-type',
      'content-length',
      'location',
    ]);
  });

  it('leaves out what is excluded, but not what a body cannot be understood without', () => {
    expect(kept(headerFilter({ exclude: ['X-Request-Id', 'Content-Type'] }))).toEqual([
      'content-type',
      'content-length',
      'location',
    ]);
  });

  it('leaves out what is both included and excluded', () => {
    expect(headerFilter({ include: ['location'], exclude: ['location'] })('Location')).toBe(false);
  });

  it('asks a function by names in lower case', () => {
    expect(headerFilter((name) => name === 'x-request-id')('X-Request-Id')).toBe(true);
  });

  it.each([{ include: ['set-cookie'] }, () => true])(
    'never keeps a cookie, whatever the option says',
    (option) => {
      expect(headerFilter(option)('Set-Cookie')).toBe(false);
    },
  );
});
