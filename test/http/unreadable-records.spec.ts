import { Logger } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { IdempotencyService, memoryStorage, type IdempotencyStorage } from 'nestjs-idempotent';
import { platforms, start, type RunningApp } from './support/apps.js';
import { countingHandler, ordersController } from './support/orders.controller.js';
import { expectProblem, send } from './support/requests.js';

const body = { sku: 'A-123' };

/** Bytes as the library lays them out: a head of a kind and what belongs to it, or any head as a text. */
function result(
  head: string | { readonly kind: string; readonly [meta: string]: unknown },
  content = '',
): Uint8Array {
  const json = Buffer.from(typeof head === 'string' ? head : laidOut(head));
  const bytes = Buffer.alloc(10);
  bytes[0] = 0x69;
  bytes[1] = 1;
  bytes.writeUInt32BE(json.length, 2);
  bytes.writeUInt32BE(Buffer.byteLength(content), 6);
  return Buffer.concat([bytes, json, Buffer.from(content)]);
}

function laidOut({ kind, ...meta }: { readonly kind: string }): string {
  return JSON.stringify({ kind, meta });
}

const whole = result({ kind: 'response', status: 201, headers: [], framing: 'whole' }, '{}');

const MALFORMED: readonly (readonly [string, Uint8Array])[] = [
  ['no bytes', new Uint8Array(0)],
  ['JSON of another library', Buffer.from('{"statusCode":201,"body":{}}')],
  ['random bytes', Buffer.from('00ff10e3', 'hex')],
  ['a later layout', Buffer.concat([Buffer.from([0x69, 2]), whole.subarray(2)])],
  ['a record that was cut short', whole.subarray(0, whole.length - 1)],
  ['a record with bytes after its end', Buffer.concat([whole, Buffer.from('x')])],
  ['a head that is no JSON', result('{"kind":')],
  ['a head that is a list', result('[]')],
  ['a head without what belongs to it', result('{"kind":"response"}')],
  ['an unknown kind', result({ kind: 'promise' })],
  ['no status', result({ kind: 'response', headers: [], framing: 'whole' })],
  ['a status as text', result({ kind: 'response', status: '201', headers: [], framing: 'whole' })],
  [
    'a status that HTTP does not have',
    result({ kind: 'response', status: 1000, headers: [], framing: 'whole' }),
  ],
  ['no headers', result({ kind: 'response', status: 201, framing: 'whole' })],
  [
    'headers that are not pairs',
    result({ kind: 'response', status: 201, headers: ['a', 'b'], framing: 'whole' }),
  ],
  [
    'a header of an odd type',
    result({ kind: 'response', status: 201, headers: [['a', {}]], framing: 'whole' }),
  ],
  [
    'a name no header has',
    result({ kind: 'response', status: 201, headers: [['a b', 'c']], framing: 'whole' }),
  ],
  [
    'a header with a line break',
    result({ kind: 'response', status: 201, headers: [['a', 'b\r\nc: d']], framing: 'whole' }),
  ],
  ['no framing', result({ kind: 'response', status: 201, headers: [] })],
  ['a value that is no JSON', result({ kind: 'value' }, '{"a":')],
];

async function put(
  storage: IdempotencyStorage,
  app: RunningApp,
  key: string,
  bytes: Uint8Array,
): Promise<string> {
  const service = app.app.get(IdempotencyService);
  // The real fingerprint, so that nothing but the record is wrong.
  const id = service.recordId({ operation: 'POST /orders', key });
  await send(app, '/orders', { key, body });
  const fingerprint = (await service.inspect(id))?.fingerprint ?? '';
  await service.forget(id);
  const claim = { id, ownerToken: randomUUID() };
  await storage.claim(id, { ...claim, fingerprint, leaseMs: 1000, keepMs: 60_000, takeOver: true });
  await storage.complete(claim, bytes, 60_000);
  return id;
}

describe.each(platforms)('a stored record that cannot be read, on %s', (platform) => {
  it.each(MALFORMED)('because it is %s, is neither replayed nor run again', async (_what, bytes) => {
    const handler = countingHandler();
    const storage = memoryStorage();
    const errors: string[] = [];
    const app = await start(platform, {
      controllers: [ordersController(handler)],
      options: { storage },
      prepare: () =>
        Logger.overrideLogger({ log: () => {}, warn: () => {}, error: (line: string) => errors.push(line) }),
    });
    const service = app.app.get(IdempotencyService);
    const id = await put(storage, app, 'k', bytes);

    const refused = await send(app, '/orders', { key: 'k', body });
    expectProblem(refused, 500, 'record-unreadable');
    expectProblem(await send(app, '/orders', { key: 'k', body }), 500, 'record-unreadable');

    expect(refused.headers.get('idempotent-replayed')).toBeNull();
    expect(handler.runs).toBe(1);
    expect(service.counters().get('record-unreadable')).toBe(2);
    expect(service.counters().get('replayed') ?? 0).toBe(0);
    expect(errors).toHaveLength(2);
    expect(errors[0]).toContain('POST /orders');
    // The operator looks at it, removes it, and the key runs again.
    expect(['unreadable', 'response', 'value']).toContain((await service.inspect(id))?.result);
    await service.forget(id);
    expect((await send(app, '/orders', { key: 'k', body })).json).toEqual({ id: 'order-2' });
  });

  it('is told from one that can: the same bytes, whole, are replayed', async () => {
    const storage = memoryStorage();
    const app = await start(platform, {
      controllers: [ordersController(countingHandler())],
      options: { storage },
    });
    await put(storage, app, 'k', whole);

    const answer = await send(app, '/orders', { key: 'k', body });
    expect([answer.status, answer.text, answer.headers.get('idempotent-replayed')]).toEqual([
      201,
      '{}',
      'true',
    ]);
  });

  it('does not open to a request that is not the same: 422 comes first', async () => {
    const storage = memoryStorage();
    const app = await start(platform, {
      controllers: [ordersController(countingHandler())],
      options: { storage },
    });
    await put(storage, app, 'k', Buffer.from('garbage'));

    expectProblem(await send(app, '/orders', { key: 'k', body: {} }), 422, 'key-reused');
  });

  it('because its late outcome is malformed, is not run again, and stays as it was found', async () => {
    const handler = countingHandler();
    const storage = memoryStorage();
    const app = await start(platform, { controllers: [ordersController(handler)], options: { storage } });
    const service = app.app.get(IdempotencyService);
    const id = await put(storage, app, 'k', whole);
    const fingerprint = (await service.inspect(id))?.fingerprint ?? '';
    await service.forget(id);
    const claim = { id, ownerToken: randomUUID() };
    await storage.claim(id, { ...claim, fingerprint, leaseMs: 1000, keepMs: 60_000, takeOver: true });
    await storage.saveStep(claim, '\u0000late', Buffer.from('{"phase":"vanished"}'));
    await storage.release(claim, { forget: false });

    for (const _again of [1, 2]) {
      expectProblem(await send(app, '/orders', { key: 'k', body }), 500, 'record-unreadable');
      expect(await service.inspect(id)).toMatchObject({ state: 'in_progress', attempt: 1, running: false });
    }
    expect(handler.runs).toBe(1);
    expect(service.counters().get('record-unreadable')).toBe(2);
  });
});
