import {
  Body,
  Controller,
  Injectable,
  Post,
  StreamableFile,
  UploadedFiles,
  UseInterceptors,
  type PipeTransform,
} from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  encryptedCodec,
  gzipCodec,
  Idempotent,
  IdempotentOp,
  IdempotentOperation,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { randomBytes } from 'node:crypto';
import { request, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { concatMap } from 'rxjs';
import type { EntityManager } from 'typeorm';
import { around } from '../http/responses/around.js';
import { platforms } from '../http/support/apps.js';
import { expectProblem, expectReplayOf, retryAfter, send } from '../http/support/requests.js';
import { plainParsers } from '../http/uploads/support/parsers.js';
import { eventually, usePostgres } from '../support/postgres-fixture.js';
import { answering, transactional, useShop, type AnyResponse } from './support/shop.js';

const postgres = usePostgres();
const LIMIT = 1000;
const LARGE = 'x'.repeat(LIMIT + 1);

describe.each(platforms)('what a transactional handler answers with on %s', (platform) => {
  const shop = useShop(postgres);
  let runs = 0;
  let gate = new Gate();
  beforeEach(() => {
    runs = 0;
    gate = new Gate();
  });
  const effect = async (what: string, op: IdempotentOperation) => {
    runs += 1;
    await shop.effects.insert({ what, attempt: op.attempt });
  };
  const rawOf = (response: AnyResponse) => (response.raw ?? response) as unknown as ServerResponse;

  describe('by itself', () => {
    it('goes out when what it does afterwards is committed with it', async () => {
      const works = answering('pay', async (response, op) => {
        await effect('debit', op);
        response.status(202).send({ paid: true });
        await gate.pass();
        await effect('credit', op);
      });
      const app = await shop.open(platform, { controllers: [works] });

      const first = send(app, '/pay', { key: 'k' });
      await gate.reached();
      expect(await shop.committed()).toEqual([]);
      gate.open();

      expect(await first).toMatchObject({ status: 202, json: { paid: true } });
      expect(await shop.committed()).toEqual(['debit 1', 'credit 1']);
      expectReplayOf(await first, await send(app, '/pay', { key: 'k' }));
    });

    it('never goes out when it throws afterwards: nothing has happened, and the client is told to ask again', async () => {
      const throws = answering('pay', async (response, op) => {
        await effect('debit', op);
        response.status(201).send({ attempt: op.attempt });
        if (op.attempt === 1) throw new Error('after the answer');
      });
      const app = await shop.open(platform, { controllers: [throws] });

      const first = await send(app, '/pay', { key: 'k' });
      expectProblem(first, 503, 'commit-failed');
      expect(retryAfter(first)).toBe(1);
      expect(await shop.committed()).toEqual([]);
      expect((await send(app, '/pay', { key: 'k' })).json).toEqual({ attempt: 2 });
      expect(await shop.committed()).toEqual(['debit 2']);
    });

    it('and that never comes has its writes undone when the client has left', async () => {
      const silent = answering('pay', async (response, op) => {
        await effect('debit', op);
        if (op.attempt > 1) response.status(201).send('paid');
        await gate.pass();
      });
      const app = await shop.open(platform, { controllers: [silent] });
      const leaving = request(`${app.url}/pay`, { method: 'POST', headers: { 'Idempotency-Key': 'k' } });
      leaving.on('error', () => {}).end();
      await gate.reached();
      gate.open();
      leaving.destroy();

      await eventually(async () => expect(await app.record()).toBe('released'));
      expect(await shop.committed()).toEqual([]);
      expect((await send(app, '/pay', { key: 'k' })).text).toBe('paid');
      expect(await shop.committed()).toEqual(['debit 2']);
    });

    it.each(['one after another', 'and goes on'])(
      'and waits for to be out commits first: %s',
      async (how) => {
        const waits = answering('pay', async (response, op) => {
          await effect('debit', op);
          await pipeline(Readable.from(['one ', 'two']), rawOf(response));
          if (how === 'and goes on') await effect('credit', op);
        });
        const app = await shop.open(platform, { controllers: [waits] });

        const first = await send(app, '/pay', { key: 'k' });
        expect(first).toMatchObject({ status: 201, text: 'one two' });
        expect(await shop.committed()).toEqual(how === 'and goes on' ? ['debit 1', 'credit 1'] : ['debit 1']);
        expectReplayOf(first, await send(app, '/pay', { key: 'k' }));
      },
    );

    it('and returns as a promise of its end, which a reply of Fastify is, commits first', async () => {
      const returns = answering('pay', async (response, op) => {
        await effect('debit', op);
        return response.status(201).send({ paid: true });
      });
      const app = await shop.open(platform, { controllers: [returns] });

      const first = await send(app, '/pay', { key: 'k' });
      expect(first).toMatchObject({ status: 201, json: { paid: true } });
      expect(await shop.committed()).toEqual(['debit 1']);
      expectReplayOf(first, await send(app, '/pay', { key: 'k' }));
    });

    it('and pipes without waiting is committed, then sent', async () => {
      const pipes = answering('pay', async (response, op) => {
        await effect('debit', op);
        Readable.from(['one ', 'two']).pipe(rawOf(response));
      });
      const app = await shop.open(platform, { controllers: [pipes] });

      const first = await send(app, '/pay', { key: 'k' });
      expect(first).toMatchObject({ status: 201, text: 'one two' });
      expect(await shop.committed()).toEqual(['debit 1']);
      expectReplayOf(first, await send(app, '/pay', { key: 'k' }));
    });
  });

  describe('too large to be kept', () => {
    const options: IdempotentOptions = { maxResponseBytes: LIMIT };

    it.each(['a value', 'a stream'])('is sent after the commit, and not kept: %s', async (kind) => {
      const large = transactional(
        'pay',
        async (op) => {
          await effect('debit', op);
          op.setResource('payment', 7);
          return kind === 'a value' ? LARGE : new StreamableFile(Readable.from([LARGE, LARGE]));
        },
        options,
      );
      const app = await shop.open(platform, { controllers: [large] });

      const first = await send(app, '/pay', { key: 'k' });
      expect([first.status, first.text.length >= LARGE.length]).toEqual([201, true]);
      expect(await shop.committed()).toEqual(['debit 1']);
      const retry = await send(app, '/pay', { key: 'k' });
      expectProblem(retry, 409, 'result-not-replayable');
      expect(retry.json.detail).toContain('payment 7');
      expect(runs).toBe(1);
    });

    it('and sent whole by the handler itself is committed with what it does afterwards', async () => {
      const sends = answering(
        'pay',
        async (response, op) => {
          await effect('debit', op);
          response.status(201).send(LARGE);
          await effect('credit', op);
        },
        options,
      );
      const app = await shop.open(platform, { controllers: [sends] });

      expect(await send(app, '/pay', { key: 'k' })).toMatchObject({ status: 201, text: LARGE });
      expect(await shop.committed()).toEqual(['debit 1', 'credit 1']);
      expectProblem(await send(app, '/pay', { key: 'k' }), 409, 'result-not-replayable');
    });

    it.each(['goes on writing', 'waits for room'])(
      'while the handler writes it is refused, and what it wrote is undone: it %s',
      async (how) => {
        const writes = answering(
          'pay',
          async (response, op) => {
            await effect('debit', op);
            const raw = rawOf(response);
            const hasRoom = raw.write(LARGE);
            if (how === 'waits for room' && !hasRoom)
              await new Promise<void>((resolve) => raw.once('drain', () => resolve()));
            else await gate.pass();
            raw.write(LARGE);
            raw.end();
          },
          options,
        );
        const app = await shop.open(platform, { controllers: [writes] });

        expectProblem(await send(app, '/pay', { key: 'k' }), 500, 'response-too-large');
        gate.open();
        await eventually(async () => expect(await app.record()).toBe('released'));
        expect(await shop.committed()).toEqual([]);
      },
    );
  });

  it('is committed and recorded when the client alone has left', async () => {
    const pay = transactional('pay', async (op) => {
      await effect('debit', op);
      await gate.pass();
      return { attempt: op.attempt };
    });
    const app = await shop.open(platform, { controllers: [pay] });
    const leaving = request(`${app.url}/pay`, { method: 'POST', headers: { 'Idempotency-Key': 'k' } });
    leaving.on('error', () => {}).end();
    await gate.reached();
    leaving.destroy();
    gate.open();

    await eventually(async () => expect(await app.record()).toBe('completed'));
    expect(await shop.committed()).toEqual(['debit 1']);
    const retry = await send(app, '/pay', { key: 'k' });
    expect([retry.json, retry.headers.get('idempotent-replayed')]).toEqual([{ attempt: 1 }, 'true']);
  });

  it('is an upload’s, too: interceptors inside see what it wrote', async () => {
    const seen: number[] = [];
    const parser = plainParsers.find((one) => one.platform === platform)?.interceptors?.() ?? [];
    @Controller()
    class Uploads {
      @Post('files')
      @UseInterceptors(
        around((next) => {
          const look = async (value: unknown) => (seen.push(await shop.effects.count()), value);
          return next.handle().pipe(concatMap(look));
        }),
        ...parser,
      )
      @Idempotent({ transactional: true })
      async upload(@UploadedFiles() files: unknown[], @IdempotentOp() op: IdempotentOperation) {
        await effect('file', op);
        return { attempt: op.attempt, files: files.length };
      }
    }
    const app = await shop.open(platform, { controllers: [Uploads] });
    const form = () => {
      const body = new FormData();
      body.set('file', new Blob(['hello']), 'a.txt');
      return body;
    };
    const post = () =>
      fetch(`${app.url}/files`, { method: 'POST', body: form(), headers: { 'Idempotency-Key': 'k' } });

    expect((await post()).status).toBe(201);
    expect(seen).toEqual([1]);
    expect(await shop.committed()).toEqual(['file 1']);
    expect((await post()).headers.get('idempotent-replayed')).toBe('true');
  });

  it('commits through a codec, and a cache of this process answers what was committed', async () => {
    const options: IdempotentOptions = {
      codec: [gzipCodec(), encryptedCodec({ keys: [{ id: '1', secret: randomBytes(32) }] })],
      localCache: { maxBytes: 100_000 },
    };
    const app = await shop.open(platform, {
      controllers: [
        transactional('pay', async (op) => (await effect('debit', op), { attempt: op.attempt }), options),
      ],
    });
    const first = await send(app, '/pay', { key: 'k' });
    await shop.outside.query('delete from idempotency_records');
    expectReplayOf(first, await send(app, '/pay', { key: 'k' }));
    expect(await shop.committed()).toEqual(['debit 1']);
  });

  it('is what a duplicate gets that waits, and not before the commit', async () => {
    const pay = transactional(
      'pay',
      async (op) => (await effect('debit', op), await gate.pass(), { attempt: op.attempt }),
      { inFlight: 'wait' },
    );
    const app = await shop.open(platform, { controllers: [pay] });
    const [first, second] = [send(app, '/pay', { key: 'k' }), send(app, '/pay', { key: 'k' })];
    const committedThen = second.then(() => shop.committed());
    await gate.reached();
    gate.open();
    const answers = await Promise.all([first, second]);
    expect(answers.map(({ headers }) => headers.get('idempotent-replayed')).toSorted()).toEqual([
      null,
      'true',
    ]);
    expect(await committedThen).toEqual(['debit 1']);
  });

  describe('is decided by `record`', () => {
    it('`release` of what it returned: its writes last, and a retry runs it again', async () => {
      const pay = transactional('pay', async (op) => (await effect('debit', op), 'paid'), {
        record: () => 'release',
      });
      const app = await shop.open(platform, { controllers: [pay] });
      expect((await send(app, '/pay', { key: 'k' })).status).toBe(201);
      expect(await app.record()).toBe('released');
      expect((await send(app, '/pay', { key: 'k' })).headers.get('idempotent-replayed')).toBeNull();
      expect(await shop.committed()).toEqual(['debit 1', 'debit 2']);
    });

    it('`release` of what it returned after a takeover: its writes do not last', async () => {
      const pay = transactional('pay', async (op) => (await effect('debit', op), await gate.pass(), 'paid'), {
        record: () => 'release',
      });
      const app = await shop.open(platform, { controllers: [pay] });
      const late = send(app, '/pay', { key: 'k' });
      await gate.reached();
      await shop.outside.query(`update idempotency_records set owner = '${SOMEBODY}'`);
      gate.open();
      expectProblem(await late, 503, 'commit-failed');
      expect(await shop.committed()).toEqual([]);
    });

    it('`keep` of what it threw: its writes do not last, and the error is replayed', async () => {
      const pay = transactional(
        'pay',
        async (op) => {
          await effect('debit', op);
          throw new Error('for good');
        },
        { record: () => 'keep' },
      );
      const app = await shop.open(platform, { controllers: [pay] });
      const first = await send(app, '/pay', { key: 'k' });
      expect(first.status).toBe(500);
      expectReplayOf(first, await send(app, '/pay', { key: 'k' }));
      expect([runs, await shop.committed()]).toEqual([1, []]);
    });
  });

  it('is what `recover` finds after a crash, outside of a transaction; what it does not find is done in one', async () => {
    const pay = (recovers: boolean) =>
      transactional('pay', async (op) => (await effect('debit', op), { attempt: op.attempt }), {
        recover: async (op) => {
          await shop.effects.insert({ what: 'looked', attempt: op.attempt });
          return recovers ? { found: true } : undefined;
        },
      });
    for (const recovers of [true, false]) {
      const app = await shop.open(platform, { controllers: [pay(recovers)] });
      const held = transactional('pay', () => gate.pass());
      const crashed = await shop.open(platform, { controllers: [held] });
      gate = new Gate();
      const lost = send(crashed, '/pay', { key: 'k' });
      await gate.reached();
      await shop.outside.query(
        `update idempotency_records set owner = '${SOMEBODY}', lease_until = now() - interval '1 second'`,
      );

      const retry = await send(app, '/pay', { key: 'k' });
      expect(retry.json).toEqual(recovers ? { found: true } : { attempt: 2 });
      expectReplayOf(retry, await send(app, '/pay', { key: 'k' }));
      expect(await shop.committed()).toEqual(recovers ? ['looked 2'] : ['looked 2', 'debit 2']);
      gate.open();
      expectProblem(await lost, 503, 'commit-failed');
      for (const table of ['effects', 'idempotency_records'])
        await shop.outside.query(`delete from ${table}`);
    }
  });

  it('may be made with `op.manager`, which is nothing before the handler and without the option', async () => {
    const early: unknown[] = [];
    @Injectable()
    class Looking implements PipeTransform {
      transform(op: unknown) {
        early.push(attempt(() => (op as IdempotentOperation).manager));
        return op;
      }
    }
    @Controller()
    class Managers {
      @Post('pay')
      @Idempotent({ transactional: true })
      async pay(@IdempotentOp(Looking) op: IdempotentOperation) {
        // An EntityManager where `nestjs-idempotent/typeorm` is imported.
        const manager: EntityManager = op.manager;
        await manager.insert('Effect', { what: 'debit', attempt: op.attempt });
        return {
          inside: await manager.count('Effect'),
          outside: await shop.outside.getRepository('Effect').count(),
        };
      }

      @Post('plain')
      @Idempotent()
      plain(@Body() _body: unknown, @IdempotentOp() op: IdempotentOperation) {
        return { error: (attempt(() => op.manager) as Error).message };
      }
    }
    const app = await shop.open(platform, { controllers: [Managers] });

    expect((await send(app, '/pay', { key: 'k' })).json).toEqual({ inside: 1, outside: 0 });
    expect(await shop.committed()).toEqual(['debit 1']);
    expect(early).toEqual([expect.objectContaining({ code: 'transaction-misused' })]);
    expect((await send(app, '/plain', { key: 'k' })).json.error).toMatch(/Add `transactional: true`/);
  });
});

const SOMEBODY = '00000000-0000-4000-8000-000000000000';

function attempt(fn: () => unknown): unknown {
  try {
    return fn();
  } catch (error) {
    return error;
  }
}
