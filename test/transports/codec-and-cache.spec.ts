import { describe, expect, it } from '@jest/globals';
import { encryptedCodec, gzipCodec, IdempotencyService, memoryStorage } from 'nestjs-idempotent';
import { faultyStorage, type FaultyStorage } from 'nestjs-idempotent/testing';
import { consumer } from './support/one-consumer.js';
import { ask, drivers, startGraphql } from './support/graphql-app.js';
import { actResolver } from './support/one-mutation.js';
import { startTcp } from './support/tcp-app.js';

const codec = [gzipCodec(), encryptedCodec({ keys: [{ id: 'k', secret: '66'.repeat(32) }] })];
const SECRET = 'card 4242';

const optionsOver = (storage: FaultyStorage) => ({
  storage,
  codec,
  localCache: { maxBytes: 100_000, ttl: '1h' },
});

/** Everything that is kept of the records of an app, as text. */
async function kept(storage: FaultyStorage): Promise<string> {
  let text = '';
  for await (const { result, steps } of storage.find({ idPrefix: '' })) {
    text += Buffer.concat([result ?? new Uint8Array(0), ...steps.values()]).toString('latin1');
  }
  return text;
}

describe('a message over TCP with a codec and a cache', () => {
  it('has its reply encrypted in the storage, and replays it there and, once asked for, from memory', async () => {
    const storage = faultyStorage(memoryStorage());
    let runs = 0;
    const controllers = [consumer(() => ({ run: (runs += 1), secret: SECRET }))];
    const [one, other] = [
      await startTcp({ controllers, options: optionsOver(storage) }),
      await startTcp({ controllers, options: optionsOver(storage) }),
    ];
    const message = { id: 'm1' };
    const first = await one.send('orders.create', message);
    expect(first).toEqual({ run: 1, secret: SECRET });
    const stored = await kept(storage);
    expect(stored.length).toBeGreaterThan(50);
    expect(stored).not.toContain(SECRET);

    expect(await other.send('orders.create', message)).toEqual(first);
    storage.clearCalls();
    for (const app of [one, other]) expect(await app.send('orders.create', message)).toEqual(first);
    expect(storage.calls()).toEqual([]);
    expect(one.app.get(IdempotencyService).counters().get('replayed')).toBe(1);
    expect(runs).toBe(1);
  });
});

describe.each(drivers)('a mutation on $name with a codec and a cache', (driver) => {
  it('has its value encrypted in the storage, and replays it there and, once asked for, from memory', async () => {
    const storage = faultyStorage(memoryStorage());
    let runs = 0;
    const work = () => `${SECRET}, run ${(runs += 1)}`;
    const startOne = () =>
      startGraphql(driver, { providers: [actResolver(work)], options: optionsOver(storage) });
    const [one, other] = [await startOne(), await startOne()];
    const act = (app: typeof one) => ask(app, 'mutation { act }', { key: 'k' });
    const first = (await act(one)).data;
    expect(first).toEqual({ act: `${SECRET}, run 1` });
    const stored = await kept(storage);
    expect(stored.length).toBeGreaterThan(50);
    expect(stored).not.toContain(SECRET);

    expect((await act(other)).data).toEqual(first);
    storage.clearCalls();
    for (const app of [one, other]) expect((await act(app)).data).toEqual(first);
    expect(storage.calls()).toEqual([]);
    expect(runs).toBe(1);
  });
});
