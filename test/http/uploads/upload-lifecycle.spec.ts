import { ConflictException, type NestInterceptor } from '@nestjs/common';
import { AnyFilesInterceptor } from '@nestjs/platform-express';
import { AnyFilesInterceptor as FastifyAnyFilesInterceptor } from '@nestjs/platform-fastify/multipart';
import { afterAll, describe, expect, it } from '@jest/globals';
import { memoryStorage } from 'nestjs-idempotent';
import { FakeClock, faultyStorage, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import { readdirSync, rmSync } from 'node:fs';
import { expectProblem, expectReplayOf, retryAfter, send } from '../support/requests.js';
import { form } from './support/multipart.js';
import { folder, label, parsersOfAnything, plainParsers } from './support/parsers.js';
import { file, title, twoApps } from './support/two-apps.js';
import { startUploads, type Parser } from './support/upload-app.js';

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const labelled = (parsers: readonly Parser[]) => parsers.map((parser) => [label(parser), parser] as const);
/** A handler that stands still until the test says go. */
const held = (gate: Gate) => async () => {
  await gate.pass();
  return { done: true };
};
const parts = [title('a'), file()];
const others = [title('a'), file({ content: 'two' })];

describe.each(labelled(parsersOfAnything))('while an upload is running, %s', (_label, parser) => {
  it('another file with its key is 422, and the same is 409, in its process and in others', async () => {
    const gate = new Gate();
    const { post, seen } = await twoApps(parser, { handler: held(gate) });
    const first = post(parts);
    await gate.reached();

    for (const _app of ['one', 'two']) {
      expectProblem(await post(others), 422, 'key-reused');
      const same = await post(parts);
      expectProblem(same, 409, 'key-in-progress');
      expect(retryAfter(same)).toBe(1);
      expectProblem(await post([title('a')]), 422, 'key-reused');
    }
    gate.open();
    expectReplayOf(await first, await post(parts));
    expect(seen).toHaveLength(1);
  });

  it('the same file waits for its answer with `inFlight: wait`, and another one does not', async () => {
    const gate = new Gate();
    const set = { options: { inFlight: 'wait' as const }, handler: held(gate) };
    const { post, seen } = await twoApps(parser, set);
    const first = post(parts);
    await gate.reached();

    expectProblem(await post(others), 422, 'key-reused');
    const waiting = [post(parts), post(parts)];
    gate.open();

    for (const answer of await Promise.all(waiting)) expectReplayOf(await first, answer);
    expect(seen).toHaveLength(1);
  });
});

describe.each(labelled(parsersOfAnything))('after an upload whose handler threw, %s', (_label, parser) => {
  it('the same file runs again, and another one is 422', async () => {
    let fails = true;
    const { post, seen } = await twoApps(parser, {
      handler: (_upload, { attempt, takenOver }) => {
        if (fails) throw new Error('the disk is full');
        return { attempt, takenOver };
      },
    });

    expect((await post(parts)).status).toBe(500);
    expectProblem(await post(others), 422, 'key-reused');
    fails = false;
    const second = await post(parts);

    expect(second.json).toEqual({ attempt: 2, takenOver: false });
    expectReplayOf(second, await post(parts));
    expect(seen).toHaveLength(2);
  });

  it('a refusal that is final is replayed for the same file, and another one is 422', async () => {
    const { post, seen } = await twoApps(parser, {
      handler: () => {
        throw new ConflictException('it is there already');
      },
    });

    const first = await post(parts);

    expect(first.status).toBe(409);
    expectReplayOf(first, await post(parts));
    expectProblem(await post(others), 422, 'key-reused');
    expect(seen).toHaveLength(1);
  });
});

describe.each(labelled(parsersOfAnything))('after a crash during an upload, %s', (_label, parser) => {
  const crashed = async (options = {}) => {
    const clock = new FakeClock();
    const storage = new MemoryStorage({ clock });
    const gate = new Gate();
    const module = { storage };
    const dead = await startUploads(parser, { module, options, handler: held(gate) });
    const first = send(dead, '/files', { key: 'k', ...form(parts) });
    await gate.reached();
    await clock.advance(30_000); // its lease
    const handler = (_upload: unknown, { attempt, takenOver }: { attempt: number; takenOver: boolean }) => ({
      attempt,
      takenOver,
    });
    const alive = await twoApps(parser, { module, options, handler });
    /** The dead come back, as a process does that only stood still. */
    const wake = async () => {
      gate.open();
      return first;
    };
    return { ...alive, wake };
  };

  it('another file is 422, and the same takes over as attempt 2', async () => {
    const { post, seen, wake } = await crashed();

    expectProblem(await post(others), 422, 'key-reused');
    expect(seen).toHaveLength(0);
    const second = await post(parts);

    expect(second.json).toEqual({ attempt: 2, takenOver: true });
    expectReplayOf(second, await post(parts));
    expect(seen).toHaveLength(1);
    expect((await wake()).headers.get('idempotency-status')).toBe('superseded');
  });

  it('`recover` is asked for the same file alone', async () => {
    const asked: (string | undefined)[] = [];
    const { post, seen, wake } = await crashed({
      recover: (op: { key: string | undefined }) => asked.push(op.key) && { recovered: true },
    });

    expectProblem(await post(others), 422, 'key-reused');
    const second = await post(parts);

    expect({ status: second.status, json: second.json }).toEqual({ status: 201, json: { recovered: true } });
    expect({ asked, runs: seen.length }).toEqual({ asked: ['k'], runs: 0 });
    await wake();
  });

  it('the same file is 409 outcome-unknown with `onAbandoned: refuse`', async () => {
    const { post, seen, wake } = await crashed({ onAbandoned: 'refuse' });

    expectProblem(await post(others), 422, 'key-reused');
    expectProblem(await post(parts), 409, 'outcome-unknown');
    expect(seen).toHaveLength(0);
    await wake();
  });
});

describe.each(labelled(plainParsers))('an upload that its handler never sees, %s', (_label, { platform }) => {
  const AnyFiles = platform === 'express' ? AnyFilesInterceptor : FastifyAnyFilesInterceptor;

  it('because its file is too large, leaves the key to the corrected one, and a record as it was', async () => {
    const parser = {
      platform,
      name: '',
      interceptors: () => [AnyFiles({ limits: { fileSize: 10 } })],
    };
    const large = [title('a'), file({ content: 'far too large' })];
    const { post, seen } = await twoApps(parser);

    expect((await post(large)).status).toBe(413);
    const first = await post(parts);
    expect((await post(large)).status).toBe(413);

    expect(first.status).toBe(201);
    expectReplayOf(first, await post(parts));
    expect(seen).toHaveLength(1);
  });

  it('because something inside refuses it, leaves the key to the corrected one, and a record as it was', async () => {
    let refuses = true;
    class Refusing implements NestInterceptor {
      intercept: NestInterceptor['intercept'] = (_context, next) => {
        if (refuses) throw new ConflictException('not now');
        return next.handle();
      };
    }
    const parser = { platform, name: '', interceptors: () => [AnyFiles(), new Refusing()] };
    const { post, seen } = await twoApps(parser);

    expect((await post(parts)).status).toBe(409);
    refuses = false;
    const first = await post(others);
    refuses = true;
    expect((await post(others)).status).toBe(409);
    refuses = false;

    expect(first.status).toBe(201);
    expectReplayOf(first, await post(others));
    expect(seen).toHaveLength(1);
  });

  it('because the storage is down, is 503, or runs unprotected where that is allowed', async () => {
    const storage = faultyStorage(memoryStorage());
    const parser = { platform, name: '', interceptors: () => [AnyFiles()] };
    const strict = await twoApps(parser, { module: { storage } });
    const lax = await twoApps(parser, { module: { storage }, options: { onStorageFailure: 'run' } });
    storage.rejectNext('claim', Infinity);

    const refused = await strict.post(parts);

    expectProblem(refused, 503, 'storage-unavailable');
    expect(retryAfter(refused)).toBe(1);
    expect(strict.seen).toHaveLength(0);
    expect((await lax.post(parts)).status).toBe(201);
    expect(lax.seen).toEqual([{ fields: { title: 'a' }, files: ['one'] }]);
  });

  it('because its file is gone from the disk, is 400, and leaves the key to the corrected one', async () => {
    const dest = `${folder}/gone-${platform}`;
    let removes = true;
    class Removing implements NestInterceptor {
      intercept: NestInterceptor['intercept'] = (_context, next) => {
        if (removes) for (const name of readdirSync(dest)) rmSync(`${dest}/${name}`);
        return next.handle();
      };
    }
    const parser = { platform, name: '', interceptors: () => [AnyFiles({ dest }), new Removing()] };
    const { post, seen } = await twoApps(parser);

    const refused = await post(parts);

    expectProblem(refused, 400, 'fingerprint-unavailable');
    expect(refused.json.detail).toContain('Content-Digest');
    expect(seen).toHaveLength(0);
    removes = false;
    expect((await post(others)).status).toBe(201);
  });
});

describe.each(labelled(plainParsers))('an upload, %s', (_label, parser) => {
  it('is one question to the storage, and one more for the outcome', async () => {
    const storage = faultyStorage(memoryStorage());
    const { post } = await twoApps(parser, { module: { storage } });
    const asked = () =>
      storage
        .calls()
        .map(({ method }) => method)
        .filter((method) => method !== 'start');

    await post(parts);
    expect(asked()).toEqual(['claim', 'complete']);
    await post(parts);
    expect(asked()).toEqual(['claim', 'complete', 'claim']);
    await post(others);
    expect(asked()).toEqual(['claim', 'complete', 'claim', 'claim']);
  });

  it('that is cut short claims nothing', async () => {
    const storage = faultyStorage(memoryStorage());
    const { urls, seen } = await twoApps(parser, { module: { storage } });
    const { headers } = form(parts, 'b');

    const cut = await send(urls[0] ?? { url: '' }, '/files', { key: 'k', body: '--b\r\n', headers });

    expect(cut.status).toBe(400);
    expect(cut.json.code).toBeUndefined();
    expect(storage.calls('claim')).toEqual([]);
    expect(seen).toHaveLength(0);
  });
});
