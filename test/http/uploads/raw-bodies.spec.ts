import { describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { platforms } from '../support/apps.js';
import { expectProblem, expectReplayOf } from '../support/requests.js';
import { bodyApps, leaveUnread, rawParser } from './support/body-app.js';

const typed = (type: string, headers: Record<string, string> = {}) => ({
  headers: { 'Content-Type': type, ...headers },
});
const hash = (algorithm: string, bytes: string | Uint8Array) =>
  createHash(algorithm).update(bytes).digest('base64');
const digest = (bytes: string | Uint8Array) => ({ 'Content-Digest': `sha-256=:${hash('sha256', bytes)}:` });

describe.each(platforms)('a body of bytes, on %s', (platform) => {
  const type = 'application/octet-stream';
  const bytes = Uint8Array.of(0, 255, 128, 10);

  it('is told by every byte', async () => {
    const { post, bodies } = await bodyApps(platform, { prepare: rawParser(platform, type) });

    const first = await post({ body: bytes, ...typed(type) });

    expect(first.status).toBe(201);
    expectReplayOf(first, await post({ body: bytes, ...typed(type) }));
    for (const other of [
      Uint8Array.of(0, 255, 128, 11),
      bytes.subarray(1),
      Buffer.concat([bytes, Buffer.alloc(1)]),
    ]) {
      expectProblem(await post({ body: other, ...typed(type) }), 422, 'key-reused');
    }
    expect(bodies).toEqual([Buffer.from(bytes)]);
  });

  it('is told by its bytes, whatever `Content-Digest` says of them, and whatever members are selected', async () => {
    const { post } = await bodyApps(platform, {
      prepare: rawParser(platform, type),
      options: { fingerprint: { include: ['title'] } },
    });

    const first = await post({ body: bytes, ...typed(type, digest('a')) });

    expectReplayOf(first, await post({ body: bytes, ...typed(type, digest('b')) }));
    expectProblem(await post({ body: bytes.subarray(1), ...typed(type, digest('a')) }), 422, 'key-reused');
  });

  it('cannot be imitated by JSON', async () => {
    const { post } = await bodyApps(platform, { prepare: rawParser(platform, type) });
    await post({ body: bytes, ...typed(type) });

    const sha256 = createHash('sha256').update(bytes).digest('base64url');
    for (const body of [{ bytes: sha256 }, ['bytes', sha256], sha256]) {
      const json =
        typeof body === 'string' ? { body: JSON.stringify(body), ...typed('application/json') } : { body };
      expect([400, 422]).toContain((await post(json)).status);
    }
  });

  it('may be large', async () => {
    const { post, bodies } = await bodyApps(platform, { prepare: rawParser(platform, type) });
    const large = Buffer.alloc(90_000, 'abc');
    const other = Buffer.from(large).fill('x', large.length - 1);

    const first = await post({ body: large, ...typed(type) });

    expectReplayOf(first, await post({ body: large, ...typed(type) }));
    expectProblem(await post({ body: other, ...typed(type) }), 422, 'key-reused');
    expect(bodies).toHaveLength(1);
  });
});

describe.each(platforms)('a body that nobody has read, on %s', (platform) => {
  describe.each([
    ['and that is left alone', false],
    ['and whose stream is handed over', true],
  ])('%s', (_what, handOverStream) => {
    it.each(['application/octet-stream', 'multipart/mixed; boundary=x', 'image/png'])(
      'is 400 as %s without a Content-Digest, and told by it with one',
      async (type) => {
        const [bare = ''] = type.split(';');
        const { post, bodies } = await bodyApps(platform, {
          prepare: leaveUnread(platform, bare, handOverStream),
        });
        const sent = (body: string, headers = {}) => post({ body, ...typed(type, headers) });

        const refused = await sent('one');

        expectProblem(refused, 400, 'fingerprint-unavailable');
        expect(refused.json.detail).toContain('Content-Digest');
        expect(bodies).toHaveLength(0);
        const first = await sent('one', digest('one'));
        expect(first.status).toBe(201);
        expectReplayOf(first, await sent('one', digest('one')));
        expectProblem(await sent('two', digest('two')), 422, 'key-reused');
        expectProblem(await sent('one'), 400, 'fingerprint-unavailable');
        expect(bodies).toHaveLength(1);
      },
    );
  });

  const type = 'application/octet-stream';
  const unread = { prepare: leaveUnread(platform, type) };

  it('is told by its digest, however that is written', async () => {
    const { post } = await bodyApps(platform, unread);
    const [sha256, sha512] = [hash('sha256', 'one'), hash('sha512', 'one')];
    const sent = (header: string) => post({ body: 'one', ...typed(type, { 'Content-Digest': header }) });

    const first = await sent(`sha-256=:${sha256}:`);

    expect(first.status).toBe(201);
    for (const header of [
      `SHA-256=:${sha256}:`,
      `sha-512=:${sha512}:, sha-256=:${sha256}:`,
      `sha-256=:${sha256}: ,md5=:${hash('md5', 'two')}:`,
    ]) {
      expectReplayOf(first, await sent(header));
    }
  });

  it('is 400 when its digest is malformed, insecure or unknown, and says so', async () => {
    const { post, bodies } = await bodyApps(platform, unread);
    for (const header of [
      'nonsense',
      `sha-256=${hash('sha256', 'one')}`,
      'sha-256=:AAAA:',
      `md5=:${hash('md5', 'one')}:`,
      `sha=:${hash('sha1', 'one')}:`,
    ]) {
      const refused = await post({ body: 'one', ...typed(type, { 'Content-Digest': header }) });
      expectProblem(refused, 400, 'fingerprint-unavailable');
      expect(refused.json.detail).toContain('sha-256');
    }
    expect(bodies).toHaveLength(0);
  });

  it('is told by its digest whatever members are selected', async () => {
    const { post } = await bodyApps(platform, {
      ...unread,
      options: { fingerprint: { include: ['title'] } },
    });

    await post({ body: 'one', ...typed(type, digest('one')) });

    expectProblem(await post({ body: 'two', ...typed(type, digest('two')) }), 422, 'key-reused');
  });
});
