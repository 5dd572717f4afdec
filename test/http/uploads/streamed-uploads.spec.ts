import { Controller, Post, Req, UseInterceptors } from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-express';
import {
  FileInterceptor as FastifyFileInterceptor,
  FileStreamInterceptor,
} from '@nestjs/platform-fastify/multipart';
import multer from 'multer';
import { afterAll, describe, expect, it } from '@jest/globals';
import { Idempotent, memoryStorage, type IdempotentOptions } from 'nestjs-idempotent';
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { rmSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import { start } from '../support/apps.js';
import { expectProblem, expectReplayOf, send } from '../support/requests.js';
import { form, type Part } from './support/multipart.js';
import {
  folder,
  keyValues,
  label,
  parsersOfAnything,
  parsersOfFields,
  parsersOfSome,
  register,
  SaveRequestFiles,
} from './support/parsers.js';
import { file, title, twoApps } from './support/two-apps.js';
import type { Parser } from './support/upload-app.js';

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** As those that send files to a bucket: what it tells of them is where they are, and not what is in them. */
class BucketStorage implements multer.StorageEngine {
  readonly _handleFile: multer.StorageEngine['_handleFile'] = (_request, { stream }, done) => {
    void text(stream).then((content) =>
      done(null, { size: content.length, path: `https://bucket.example.com/${Math.random()}` }),
    );
  };
  readonly _removeFile: multer.StorageEngine['_removeFile'] = (_request, _file, done) => done(null);
}

interface Streaming extends Parser {
  /** Reads the upload in the handler; without it, it has been read before. */
  readonly read?: (request: never) => Promise<string>;
  readonly toldAtBoot: boolean;
  readonly tells: { readonly fields: boolean; readonly names: boolean; readonly sizes: boolean };
}

const engine: Streaming = {
  platform: 'express',
  name: 'a storage engine that sends files elsewhere',
  interceptors: () => [FileInterceptor('file', { storage: new BucketStorage() })],
  toldAtBoot: true,
  tells: { fields: true, names: true, sizes: true },
};
const fastifyEngine: Streaming = {
  ...engine,
  platform: 'fastify',
  interceptors: () => [FastifyFileInterceptor('file', { storage: new BucketStorage() })],
  toldAtBoot: false,
};
const streamInterceptor: Streaming = {
  platform: 'fastify',
  name: 'FileStreamInterceptor',
  interceptors: () => [FileStreamInterceptor('file')],
  read: ({ file: { stream } }: { file: { stream: Readable } }) => text(stream),
  toldAtBoot: true,
  tells: { fields: true, names: true, sizes: false },
};
const inHandler: Streaming = {
  platform: 'fastify',
  name: 'request.file() in the handler',
  prepare: register({}),
  read: async (request: { file(): Promise<{ file: Readable }> }) => text((await request.file()).file),
  toldAtBoot: false,
  tells: { fields: false, names: false, sizes: false },
};
const raw: Streaming = {
  platform: 'express',
  name: 'the request itself in the handler',
  read: (request: IncomingMessage) => text(request),
  toldAtBoot: false,
  tells: { fields: false, names: false, sizes: false },
};

const parts: readonly Part[] = [title('a'), file()];

describe.each(
  [engine, fastifyEngine, streamInterceptor, inHandler, raw].map((it) => [label(it), it] as const),
)('an upload that is streamed, %s', (_label, streaming) => {
  const set = async (options: IdempotentOptions = {}) => {
    const { read = async () => 'read before' } = streaming;
    const log: string[] = [];
    const reads: string[] = [];
    @Controller('files')
    class FilesController {
      @Post()
      @Idempotent(options)
      @UseInterceptors(...(streaming.interceptors?.() ?? []))
      async upload(@Req() request: never) {
        reads.push(await read(request));
        return { id: `file-${reads.length}` };
      }
    }
    const storage = memoryStorage();
    const app = await start(streaming.platform, {
      controllers: [FilesController],
      options: { storage },
      prepare: async (nest) => {
        const line = (warning: unknown) => void log.push(String(warning));
        nest.useLogger({ log: () => {}, warn: line, error: line });
        await streaming.prepare?.(nest);
      },
    });
    const warnings = () => log.filter((line) => line.includes('Content-Digest'));
    const post = (sent: readonly Part[], headers: Record<string, string> = {}) => {
      const { body, headers: type } = form(sent);
      return send(app, '/files', { key: 'k', body, headers: { ...type, ...headers } });
    };
    return { post, warnings, read: reads };
  };
  const digest = (id: string) => ({
    'Content-Digest': `sha-256=:${createHash('sha256').update(id).digest('base64')}:`,
  });

  it('is told by what is known of it, and runs once', async () => {
    const { post, read } = await set();
    const first = await post(parts);

    expect({ status: first.status, json: first.json }).toEqual({ status: 201, json: { id: 'file-1' } });
    expectReplayOf(first, await post(parts));
    expectReplayOf(first, await post([title('a'), file({ content: 'two' })]));
    const { fields, names, sizes } = streaming.tells;
    for (const [known, other] of [
      [fields, [title('b'), file()]],
      [names, [title('a'), file({ name: 'b.txt' })]],
      [sizes, [title('a'), file({ content: 'three' })]],
    ] as const) {
      const answer = await post(other);
      if (known) expectProblem(answer, 422, 'key-reused');
      else expectReplayOf(first, answer);
    }
    expect(read).toHaveLength(1);
    expect(read[0]).toMatch(/one|read before/);
  });

  it('is told by its Content-Digest where there is one, and then it is not read for a replay', async () => {
    const { post, read } = await set();

    const first = await post(parts, digest('one'));

    expect(first.status).toBe(201);
    expectReplayOf(first, await post(parts, digest('one')));
    expectProblem(await post(parts, digest('two')), 422, 'key-reused');
    expectProblem(await post(parts), 422, 'key-reused');
    expect(read).toHaveLength(1);
  });

  it('is warned of once, at boot where that can be known, else with the first request', async () => {
    const { post, warnings } = await set();
    const name = streaming.toldAtBoot ? 'FilesController.upload: ' : 'POST /files: ';

    expect(warnings()).toHaveLength(streaming.toldAtBoot ? 1 : 0);
    await post(parts);
    await post(parts);

    expect(warnings()).toEqual([expect.stringContaining(name)]);
    expect(warnings()[0]).toContain('Let clients send Content-Digest');
  });

  it('is not warned of where clients send a Content-Digest, or where something else is compared', async () => {
    const byDigest = await set();
    const before = byDigest.warnings().length;
    await byDigest.post(parts, digest('one'));
    expect(byDigest.warnings()).toHaveLength(before);

    for (const fingerprint of [false, () => 'own'] as const) {
      const own = await set({ fingerprint });
      expect((await own.post(parts)).status).toBe(201);
      expect(own.warnings()).toEqual([]);
    }
  });
});

describe.each(
  [...parsersOfAnything, keyValues, ...parsersOfFields, ...parsersOfSome].map(
    (it) => [label(it), it] as const,
  ),
)('an upload that can be compared, %s', (_label, parser) => {
  it('is not warned of', async () => {
    const log: string[] = [];
    const { post } = await twoApps(parser, { log });
    const field = 'files' in parser ? String((parser.files as string[])[0]) : 'file';
    const takesNone = parsersOfFields.includes(parser);

    const first = await post([title('a'), ...(takesNone ? [] : [file({ field })])]);

    expect(first.status).toBe(201);
    expect(log.filter((line) => line.includes('Content-Digest'))).toEqual([]);
  });
});

describe('a form without files that saveRequestFiles() has read', () => {
  const saving = (keepsValues: boolean): Parser => ({
    platform: 'fastify',
    name: 'saveRequestFiles()',
    prepare: register({}),
    interceptors: () => [new SaveRequestFiles(keepsValues)],
  });

  it('shows no fields, which is warned of', async () => {
    const log: string[] = [];
    const { post } = await twoApps(saving(false), { log });

    const first = await post([title('a')]);

    expectReplayOf(first, await post([title('b')]));
    expect(log.some((line) => line.includes('where they cannot be seen'))).toBe(true);
  });

  it('is told by the values that an interceptor has put on `request.body`', async () => {
    const log: string[] = [];
    const { post } = await twoApps(saving(true), { log });

    const first = await post([title('a')]);

    expectReplayOf(first, await post([title('a')]));
    expectProblem(await post([title('b')]), 422, 'key-reused');
    expect(log.filter((line) => line.includes('Content-Digest'))).toEqual([]);
  });

  it('is told by its files where there are some, whether or not they are on `request.body`, too', async () => {
    for (const parser of [
      saving(true),
      { ...saving(false), prepare: register({ attachFieldsToBody: true }) },
    ]) {
      const log: string[] = [];
      const { post } = await twoApps(parser, { log });

      const first = await post(parts);

      expectReplayOf(first, await post(parts));
      expectProblem(await post([title('a'), file({ content: 'two' })]), 422, 'key-reused');
      expect(log.filter((line) => line.includes('Content-Digest'))).toEqual([]);
    }
  });
});
