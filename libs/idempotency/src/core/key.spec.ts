import { describe, expect, it } from '@jest/globals';
import { keyProblem, MAX_KEY_BYTES, type KeyFormat } from './key.js';

const UUID = '7c4a8d09-ca37-4c7a-9a4f-0d5e8b1f2a3c';
const problem = (key: string, format?: KeyFormat, scope?: string) => keyProblem(key, format, scope);

describe('keyProblem', () => {
  it.each(['a', UUID, 'x'.repeat(MAX_KEY_BYTES), '!"#$%&/()=?', 'two words', '~'])('takes %p', (key) => {
    expect(problem(key)).toBeUndefined();
  });

  it.each([
    ['', /empty/],
    ['   ', /blank/],
    ['x'.repeat(MAX_KEY_BYTES + 1), /longer than 255 bytes/],
    ['schlüssel', /printable ASCII/],
    ['a\nb', /printable ASCII/],
    ['a\u007f', /printable ASCII/],
    ['\u0000', /printable ASCII/],
  ])('refuses %p', (key, reason) => {
    expect(problem(key)).toMatch(reason);
  });

  it('takes only UUIDs as `uuid`, in either case', () => {
    expect(problem(UUID, 'uuid')).toBeUndefined();
    expect(problem(UUID.toUpperCase(), 'uuid')).toBeUndefined();
    expect(problem(`${UUID}0`, 'uuid')).toMatch(/not a UUID/);
    expect(problem(UUID.replaceAll('-', ''), 'uuid')).toMatch(/not a UUID/);
  });

  it('takes as `strong` what nobody guesses', () => {
    expect(problem(UUID, 'strong')).toBeUndefined();
    expect(problem('0'.repeat(8) + '-0000-4000-8000-' + '0'.repeat(12), 'strong')).toBeUndefined();
    expect(problem('short', 'strong')).toMatch(/shorter than 16/);
    expect(problem('12345678901234567890', 'strong')).toMatch(/digits only/);
    expect(problem('2026-01-01 12:00:00', 'strong')).toMatch(/digits only/);
    expect(problem('tenant-with-a-long-name', 'strong', 'tenant-with-a-long-name')).toMatch(/user or tenant/);
  });

  it('asks a RegExp the same way every time, whatever its flags', () => {
    for (const format of [/^order-\d+$/, /^order-\d+$/g, /^order-\d+$/y]) {
      for (let times = 0; times < 3; times += 1) {
        expect(problem('order-1', format)).toBeUndefined();
        expect(problem('invoice-1', format)).toMatch(/form/);
      }
    }
  });

  it('asks a function, but only about what is a key at all', () => {
    expect(problem('even', (key) => key.length % 2 === 0)).toBeUndefined();
    expect(problem('odd', (key) => key.length % 2 === 0)).toMatch(/form/);
    expect(problem('', () => true)).toMatch(/empty/);
  });

  it('takes no promise for an answer', () => {
    const format = (async () => true) as unknown as KeyFormat;
    expect(() => problem('key', format)).toThrow(/at once/);
  });

  it('never quotes the key', () => {
    for (const format of ['uuid', 'strong', /^$/, () => false] as const) {
      expect(problem('secret', format)).not.toMatch(/secret/);
    }
  });
});
