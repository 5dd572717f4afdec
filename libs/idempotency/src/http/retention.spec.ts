import { describe, expect, it } from '@jest/globals';
import { defaultRecordPolicy, isFinalStatus } from './retention.js';

const transport = 'http';

describe('defaultRecordPolicy', () => {
  it.each([200, 204, 302, 404, 408, 425, 429, 500, 503, undefined])(
    'keeps what returned and went out with %s: the effect has happened',
    (status) => {
      expect(defaultRecordPolicy({ transport, phase: 'returned', ...(status && { status }) })).toBe('keep');
    },
  );

  it.each([301, 302, 400, 404, 409, 422, 451])('keeps what threw and went out with %s', (status) => {
    expect(defaultRecordPolicy({ transport, phase: 'threw', status })).toBe('keep');
  });

  it.each([200, 201, 408, 425, 429, 500, 502, 503, undefined])(
    'releases what threw and went out with %s: a retry may fare better',
    (status) => {
      expect(defaultRecordPolicy({ transport, phase: 'threw', ...(status && { status }) })).toBe('release');
    },
  );
});

describe('isFinalStatus', () => {
  it.each([200, 302, 404, 409])('is true for %s', (status) => expect(isFinalStatus(status)).toBe(true));

  it.each([408, 425, 429, 500, 599, undefined])('is false for %s', (status) =>
    expect(isFinalStatus(status)).toBe(false),
  );
});
