import { Controller, Post, Res, StreamableFile } from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { Idempotent, IdempotentOp, IdempotentOperation, memoryStorage } from 'nestjs-idempotent';
import { faultyStorage, Gate } from 'nestjs-idempotent/testing';
import { once } from 'node:events';
import { request, type IncomingMessage, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { platforms, start } from '../support/apps.js';
import { eventually } from '../support/eventually.js';
import { expectProblem, send } from '../support/requests.js';

const SIZE = 65_536;
const HELD = 10;
/** More than the sockets of both ends take. */
const CHUNKS = 800;

let produced = 0;
let given = 0;
let runs = 0;
let gate = new Gate();

async function* chunks(count: number): AsyncGenerator<Buffer> {
  try {
    for (let index = 0; index < count; index += 1) {
      produced += 1;
      yield Buffer.alloc(SIZE, 'x');
      await turn();
    }
  } finally {
    given += 1;
  }
}

const source = (count: number) => Readable.from(chunks(count), { objectMode: false, highWaterMark: SIZE });

@Controller('large')
class Large {
  @Post('file')
  @Idempotent({ maxResponseBytes: HELD * SIZE })
  file(@IdempotentOp() op: IdempotentOperation) {
    runs += 1;
    op.setResource('export', 'e-1');
    return new StreamableFile(source(CHUNKS));
  }

  @Post('pipeline')
  @Idempotent({ maxResponseBytes: HELD * SIZE })
  async pipeline(
    @IdempotentOp() op: IdempotentOperation,
    @Res() response: ServerResponse | { raw: ServerResponse },
  ) {
    runs += 1;
    op.setResource('export', 'e-1');
    await pipeline(source(CHUNKS), 'raw' in response ? response.raw : response);
  }

  @Post('late')
  @Idempotent({ maxResponseBytes: HELD * SIZE })
  async late() {
    runs += 1;
    await gate.pass();
    return new StreamableFile(source(CHUNKS));
  }

  @Post('departed')
  @Idempotent({ maxResponseBytes: HELD * SIZE })
  departed() {
    runs += 1;
    return new StreamableFile(source(HELD));
  }
}

describe.each(platforms)('a body above the limit on %s', (platform) => {
  beforeEach(() => {
    produced = given = runs = 0;
    gate = new Gate();
  });

  const launch = async (path: string) => {
    const storage = faultyStorage(memoryStorage());
    const stored = storage.holdCall('complete');
    const app = await start(platform, { controllers: [Large], options: { storage } });
    const headers = { 'Idempotency-Key': 'k' };
    const outgoing = request(`${app.url}/large/${path}`, { method: 'POST', agent: false, headers });
    outgoing.on('error', () => {}).end();
    return { app, stored, outgoing, response: once(outgoing, 'response') as Promise<[IncomingMessage]> };
  };

  /** How much has come from the source when nothing more comes. */
  const atRest = async (): Promise<number> => {
    for (let before = -1; before !== produced;) {
      before = produced;
      await sleep(100);
    }
    return produced;
  };

  it.each(['file', 'pipeline'])(
    'is held to the limit and one chunk, and then flows as fast as its client reads: %s',
    async (path) => {
      const { app, stored, response } = await launch(path);
      await stored.reached();
      // One chunk crosses the limit, and the stream and what it is made of have read ahead by one each.
      expect(await atRest()).toBeLessThanOrEqual(HELD + 1 + 2);

      stored.open();
      const [incoming] = await response;
      incoming.pause();
      expect(await atRest()).toBeLessThan(CHUNKS);

      let bytes = 0;
      for await (const chunk of incoming) bytes += (chunk as Buffer).length;
      expect(bytes).toBe(CHUNKS * SIZE);
      expectProblem(await send(app, `/large/${path}`, { key: 'k' }), 409, 'result-not-replayable');
      expect([runs, given]).toEqual([1, 1]);
    },
  );

  it.each(['file', 'pipeline'])(
    'whose client leaves in its middle ends its source, and does not run again: %s',
    async (path) => {
      const { app, stored, outgoing, response } = await launch(path);
      stored.open();
      const [incoming] = await response;
      incoming.on('error', () => {});
      await once(incoming, 'data');
      outgoing.destroy();

      await eventually(() => expect(given).toBe(1));
      expect(produced).toBeLessThan(CHUNKS);
      expectProblem(await send(app, `/large/${path}`, { key: 'k' }), 409, 'result-not-replayable');
      expect(runs).toBe(1);
    },
  );

  it('whose client has left before ends its source at the limit, and does not run again', async () => {
    const { app, stored, outgoing, response } = await launch('late');
    response.catch(() => {});
    await gate.reached();
    outgoing.destroy();
    stored.open();
    gate.open();

    await eventually(() => expect(given).toBe(1));
    expect(produced).toBeLessThanOrEqual(HELD + 1 + 2);
    expectProblem(await send(app, '/large/late', { key: 'k' }), 409, 'result-not-replayable');
    expect(runs).toBe(1);
  });

  it('whose client leaves while that is being stored ends its source, and does not run again', async () => {
    const { app, stored, outgoing, response } = await launch('file');
    response.catch(() => {});
    await stored.reached();
    outgoing.destroy();
    await atRest();
    stored.open();

    await eventually(() => expect(given).toBe(1));
    expectProblem(await send(app, '/large/file', { key: 'k' }), 409, 'result-not-replayable');
    expect(runs).toBe(1);
  });

  it('but not one of just the limit, whose client leaves while it is being stored: it is replayed', async () => {
    const { app, stored, outgoing, response } = await launch('departed');
    response.catch(() => {});
    await stored.reached();
    outgoing.destroy();
    stored.open();

    await eventually(async () => {
      const again = await send(app, '/large/departed', { key: 'k' });
      expect([again.status, again.text.length, again.headers.get('idempotent-replayed')]).toEqual([
        201,
        HELD * SIZE,
        'true',
      ]);
    });
    expect([runs, given]).toEqual([1, 1]);
  });
});
