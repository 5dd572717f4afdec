import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { hashOfBytes, hashOfFile } from './content-hash.js';

const folder = mkdtempSync(join(tmpdir(), 'content-hash-'));
afterAll(() => rmSync(folder, { recursive: true }));

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('base64url');

describe.each([0, 1, 4 * 1024 * 1024, 9_999_999])('the hash of %d bytes', (size) => {
  const bytes = Buffer.alloc(size, 'abc');

  it('is their SHA-256, in memory and on a disk', async () => {
    const path = join(folder, String(size));
    writeFileSync(path, bytes);

    expect(await hashOfBytes(bytes)).toBe(sha256(bytes));
    expect(await hashOfFile(path)).toBe(sha256(bytes));
  });
});

describe('hashing', () => {
  it('of many bytes lets others have their turn', async () => {
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 0);

    await hashOfBytes(Buffer.alloc(64 * 1024 * 1024));

    clearInterval(timer);
    expect(turns).toBeGreaterThan(1);
  });

  it('of a file that is not there rejects', async () => {
    await expect(hashOfFile(join(folder, 'absent'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
