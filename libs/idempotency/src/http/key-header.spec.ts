import { describe, expect, it } from '@jest/globals';
import { keyFromHeader } from './key-header.js';

const NAME = 'Idempotency-Key';
const read = (...values: string[]) =>
  keyFromHeader(
    values.flatMap((value) => [NAME, value]),
    NAME,
  );

describe('keyFromHeader', () => {
  it('reads a bare value', () => {
    expect(read('8e03978e-40d5-43dd-bc93-6894a57f9324')).toEqual({
      kind: 'key',
      key: '8e03978e-40d5-43dd-bc93-6894a57f9324',
    });
  });

  it('reads an RFC 8941 String as the same key', () => {
    expect(read('"abc"')).toEqual(read('abc'));
  });

  it('takes the backslash from an escaped quote and an escaped backslash', () => {
    expect(read('"a\\"b\\\\c"')).toEqual({ kind: 'key', key: 'a"b\\c' });
  });

  it.each(['"', '"abc', '"a"b"', '"a\\x"', '"a\\"', '"tab\t"', '"ü"'])('refuses %j', (value) => {
    expect(read(value)).toEqual({ kind: 'malformed', reason: expect.stringContaining('RFC 8941') });
  });

  it('keeps quotes that are not around the whole value', () => {
    expect(read('a"b"')).toEqual({ kind: 'key', key: 'a"b"' });
  });

  it('drops the spaces around a value', () => {
    expect(read('  abc\t')).toEqual({ kind: 'key', key: 'abc' });
  });

  it('finds the header whatever the case of its name', () => {
    expect(keyFromHeader(['IDEMPOTENCY-KEY', 'abc'], 'idempotency-key')).toEqual({ kind: 'key', key: 'abc' });
  });

  it('is absent when no header has that name, also where a value looks like it', () => {
    expect(keyFromHeader(['Accept', NAME, 'X-Idempotency-Key', 'abc'], NAME)).toEqual({ kind: 'absent' });
  });

  it('refuses a header that was sent twice, even with equal values', () => {
    expect(read('abc', 'abc')).toEqual({
      kind: 'malformed',
      reason: expect.stringContaining('more than once'),
    });
  });

  it('leaves it to the caller that an empty value is no key', () => {
    expect([read(''), read('""')]).toEqual([
      { kind: 'key', key: '' },
      { kind: 'key', key: '' },
    ]);
  });
});
