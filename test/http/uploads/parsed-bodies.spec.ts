import type { INestApplication } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { platforms } from '../support/apps.js';
import { expectProblem, expectReplayOf } from '../support/requests.js';
import { bodyApps, leaveUnread, rawParser } from './support/body-app.js';

const typed = (type: string, headers: Record<string, string> = {}) => ({
  headers: { 'Content-Type': type, ...headers },
});
const hash = (algorithm: string, bytes: string | Uint8Array) =>
  createHash(algorithm).update(bytes).digest('base64');
const digest = (bytes: string | Uint8Array) => ({ 'Content-Digest': `sha-256=:${hash('sha256', bytes)}:` });

describe.each(platforms)('a body of text, on %s', (platform) => {
  const prepare = (app: unknown) => {
    // Fastify reads text of itself.
    if (platform === 'express') (app as NestExpressApplication).useBodyParser('text');
  };

  it('is told by every character', async () => {
    const { post, bodies } = await bodyApps(platform, { prepare });

    const first = await post({ body: 'öne\n', ...typed('text/plain; charset=utf-8') });

    expectReplayOf(first, await post({ body: 'öne\n', ...typed('text/plain; charset=utf-8') }));
    for (const body of ['öne', 'one\n', 'Öne\n', '{"a":1}']) {
      expectProblem(await post({ body, ...typed('text/plain; charset=utf-8') }), 422, 'key-reused');
    }
    expect(bodies).toEqual(['öne\n']);
  });
});

describe.each(platforms)('a form without files, on %s', (platform) => {
  const form = 'application/x-www-form-urlencoded';

  it('is told by its fields, and by the order of the values of one field', async () => {
    const { post, bodies } = await bodyApps(platform);

    const first = await post({ body: 'a=1&b=2&a=3', ...typed(form) });

    expectReplayOf(first, await post({ body: 'b=2&a=1&a=3', ...typed(`${form}; charset=utf-8`) }));
    for (const body of ['a=3&b=2&a=1', 'a=1&b=2', 'a=1&b=2&a=3&c=', 'a=1&b=3&a=3']) {
      expectProblem(await post({ body, ...typed(form) }), 422, 'key-reused');
    }
    expect(bodies).toHaveLength(1);
  });

  it('is told by fields whose names build a tree', async () => {
    const { post } = await bodyApps(platform);

    const first = await post({ body: 'item[a]=1&item[b]=2', ...typed(form) });

    expectReplayOf(first, await post({ body: 'item[b]=2&item[a]=1', ...typed(form) }));
    expectReplayOf(first, await post({ body: 'item%5Bb%5D=2&item%5Ba%5D=1', ...typed(form) }));
    expectProblem(await post({ body: 'item[a]=1&item[b]=3', ...typed(form) }), 422, 'key-reused');
  });

  it('is told by fields with names that objects have of their own', async () => {
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty']) {
      const { post } = await bodyApps(platform);
      const first = await post({ body: `a=1&${name}=1`, ...typed(form) });
      const other = await post({ body: `a=1&${name}=2`, ...typed(form) });
      // Some parsers refuse such a field, or leave it out: then no handler can see it either.
      if (first.status !== 201) {
        expect([first.status, other.status]).toEqual([400, 400]);
        continue;
      }
      if (other.status === 422) expectProblem(other, 422, 'key-reused');
      else expectReplayOf(first, other);
      expectProblem(await post({ body: `a=2&${name}=1`, ...typed(form) }), 422, 'key-reused');
    }
  });
});

/** As `NestFactory.create(AppModule, { rawBody: true })` does. */
function keepRawBody(app: INestApplication): void {
  Object.assign((app as unknown as { appOptions: object }).appOptions, { rawBody: true });
}

describe.each(platforms)('a JSON body, on %s', (platform) => {
  it('is the same whatever its charset parameter says, and where `rawBody` keeps its bytes', async () => {
    for (const prepare of [() => {}, keepRawBody]) {
      const { post } = await bodyApps(platform, { prepare });
      const first = await post({ body: '{"a":"ö","b":1}', ...typed('application/json') });
      expectReplayOf(
        first,
        await post({ body: '{"b":1,"a":"ö"}', ...typed('application/json; charset=utf-8') }),
      );
      expectProblem(await post({ body: '{"a":"o","b":1}', ...typed('application/json') }), 422, 'key-reused');
    }
  });

  it('is told by itself and not by a Content-Digest of the bytes', async () => {
    const { post } = await bodyApps(platform);

    const first = await post({ body: '{"a":1}', ...typed('application/json', digest('{"a":1}')) });

    expectReplayOf(
      first,
      await post({ body: '{ "a": 1 }', ...typed('application/json', digest('{ "a": 1 }')) }),
    );
    expectProblem(
      await post({ body: '{"a":2}', ...typed('application/json', digest('{"a":1}')) }),
      422,
      'key-reused',
    );
  });

  it('cannot be imitated by an upload, nor imitate one', async () => {
    const { post } = await bodyApps(platform);
    const body = '{"fields":{},"files":[]}';
    expect((await post({ body, ...typed('application/json') })).status).toBe(201);

    const upload = await post({ body: '--x--\r\n', ...typed('multipart/form-data; boundary=x') });
    // Fastify knows no multipart without its plugin.
    if (platform === 'fastify') expect(upload.status).toBe(415);
    else expectProblem(upload, 422, 'key-reused');
  });
});

describe.each(platforms)('a compressed body, on %s', (platform) => {
  const gzip = { 'Content-Encoding': 'gzip' };
  const json = '{"a":1}';

  it('is told by what a parser makes of it, or by its bytes where it is not unpacked', async () => {
    const type = 'application/x-bin';
    const { post, bodies } = await bodyApps(platform, { prepare: rawParser(platform, type) });

    const first = await post({ body: gzipSync('one'), ...typed(type, gzip) });

    expect(first.status).toBe(201);
    expectReplayOf(first, await post({ body: gzipSync('one'), ...typed(type, gzip) }));
    expectProblem(await post({ body: gzipSync('two'), ...typed(type, gzip) }), 422, 'key-reused');
    // Express unpacks it: sent plain it is the same. Fastify does not, nor does it know any longer that it was packed.
    const plain = await post({ body: 'one', ...typed(type) });
    if (platform === 'express') expectReplayOf(first, plain);
    else expectProblem(plain, 422, 'key-reused');
    expect(bodies).toEqual([platform === 'express' ? Buffer.from('one') : gzipSync('one')]);
  });

  it('of JSON is told by its members where it is unpacked, and refused before us where it is not', async () => {
    const { post, bodies } = await bodyApps(platform);

    const first = await post({ body: gzipSync(json), ...typed('application/json', gzip) });

    if (platform === 'fastify') {
      expect(first.status).toBe(400);
      expect(first.json.code).not.toBe('fingerprint-unavailable');
      expect(bodies).toHaveLength(0);
      return;
    }
    expectReplayOf(
      first,
      await post({ body: gzipSync(json, { level: 9 }), ...typed('application/json', gzip) }),
    );
    expectReplayOf(first, await post({ body: json, ...typed('application/json') }));
    expectProblem(
      await post({ body: gzipSync('{"a":2}'), ...typed('application/json', gzip) }),
      422,
      'key-reused',
    );
  });

  it('that nobody reads is told by the digest of its packed bytes', async () => {
    const type = 'application/octet-stream';
    const { post } = await bodyApps(platform, { prepare: leaveUnread(platform, type) });
    const packed = gzipSync('one');

    expectProblem(await post({ body: packed, ...typed(type, gzip) }), 400, 'fingerprint-unavailable');
    const first = await post({ body: packed, ...typed(type, { ...gzip, ...digest(packed) }) });

    expectReplayOf(first, await post({ body: packed, ...typed(type, { ...gzip, ...digest(packed) }) }));
    expectProblem(await post({ body: 'one', ...typed(type, digest('one')) }), 422, 'key-reused');
  });
});
