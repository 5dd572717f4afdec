import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { contentDigest } from './content-digest.js';

const base64 = (algorithm: string, text: string) => createHash(algorithm).update(text).digest('base64');
const sha256 = base64('sha256', 'a');
const sha512 = base64('sha512', 'a');

describe('contentDigest', () => {
  it('is the SHA-256, else the SHA-512', () => {
    expect(contentDigest(`sha-256=:${sha256}:`)).toBe(`sha-256:${sha256}`);
    expect(contentDigest(`sha-512=:${sha512}:`)).toBe(`sha-512:${sha512}`);
  });

  it('does not depend on the order of several algorithms', () => {
    for (const header of [
      `sha-256=:${sha256}:, sha-512=:${sha512}:`,
      `sha-512=:${sha512}:,sha-256=:${sha256}:`,
      `unixsum=:AAAA:, sha-256=:${sha256}:;q=1`,
    ]) {
      expect(contentDigest(header)).toBe(`sha-256:${sha256}`);
    }
  });

  it('does not depend on the case of the algorithm or on white space', () => {
    expect(contentDigest(` SHA-256 = :${sha256}: `)).toBe(`sha-256:${sha256}`);
  });

  it('is the last one when an algorithm is sent twice', () => {
    const other = base64('sha256', 'b');
    expect(contentDigest(`sha-256=:${sha256}:, sha-256=:${other}:`)).toBe(`sha-256:${other}`);
  });

  it('is none without a header, for an algorithm that is insecure or unknown, or when it is malformed', () => {
    const malformed = [
      undefined,
      '',
      'sha-256',
      `sha-256=${sha256}`,
      `sha-256="${sha256}"`,
      'sha-256=:AAAA:',
      'sha-256=::',
      `sha-512=:${sha256}:`,
      'sha-256=:!!!:',
      `md5=:${base64('md5', 'a')}:`,
      `sha=:${base64('sha1', 'a')}:`,
      `sha-999=:${sha256}:`,
    ];
    for (const header of malformed) expect(contentDigest(header)).toBeUndefined();
  });
});
