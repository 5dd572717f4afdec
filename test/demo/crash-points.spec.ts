import { beforeAll, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { memoryStorage } from 'nestjs-idempotent';
import { CrashPoints } from '../../apps/orders/src/crash/crash-points.js';
import { storageWithCrashPoints } from '../../apps/orders/src/crash/storage-points.js';
import { buildOrders, spawnOrders } from '../support/orders-process.js';
import { functionsOnThePath } from './crash/path.js';
import { readSources, type Sources } from './crash/sources.js';
import { pointsInTheSources, waitsOf, type Wait } from './crash/waits.js';

const ROUTES = ['POST /orders', 'POST /orders/:id/payments'];
const ORDERS = 'apps/orders/src/orders/orders.service.ts';
const GATEWAY = 'apps/orders/src/payments/gateway/payment-gateway.ts';
const STOCK = 'apps/orders/src/stock/stock.repository.ts';

let sources: Sources;
beforeAll(() => {
  sources = readSources();
}, 60_000);

const waitsIn = (read: Sources): Wait[] =>
  [...functionsOnThePath(read, ROUTES)].flatMap((each) => waitsOf(each, read));
const withoutPoints = (read: Sources): string[] =>
  waitsIn(read)
    .filter(({ heldBy }) => heldBy.length === 0)
    .map(({ place, text }) => `${place} ${text}`);

describe('the order and the payment path', () => {
  it('waits for nothing that has no point before and after it', () => {
    expect(withoutPoints(sources)).toEqual([]);
  });

  it('is followed from the controllers through services and repositories to the payment service', () => {
    const files = waitsIn(sources).map(({ place }) => place.replace(/:\d+$/, ''));
    expect(new Set(files)).toEqual(
      new Set([
        'apps/orders/src/orders/orders.controller.ts',
        'apps/orders/src/orders/orders.repository.ts',
        ORDERS,
        GATEWAY,
        'apps/orders/src/payments/payments.controller.ts',
        'apps/orders/src/payments/payments.repository.ts',
        'apps/orders/src/payments/payments.service.ts',
        'apps/orders/src/runs/run-log.ts',
        STOCK,
      ]),
    );
  });
});

describe('a wait that has no point', () => {
  const MUTATIONS: readonly (readonly [
    what: string,
    file: string,
    from: string | RegExp,
    to: string,
    found: string,
  ])[] = [
    [
      'an await of something else',
      ORDERS,
      'const order = await this.insertOnce(',
      'await Promise.resolve();\n    $&',
      'await Promise.resolve()',
    ],
    [
      'a class that is not decorated any more',
      STOCK,
      '@CrashPoints()\n',
      '',
      'await this.stock.takeFor(order.id, dto.items)',
    ],
    [
      'a method that merely returns a promise',
      STOCK,
      'async takeFor(',
      'takeFor(',
      'await this.stock.takeFor(order.id, dto.items)',
    ],
    [
      'a second wait in a method',
      GATEWAY,
      'return response.json();',
      'await response.clone().text();\n    $&',
      'await response.clone().text()',
    ],
    [
      'a promise that is returned without an await',
      GATEWAY,
      'return response.json();',
      'if (response.bodyUsed) return Promise.resolve();\n    $&',
      'return Promise.resolve();',
    ],
    [
      'a wait in a loop',
      GATEWAY,
      'return response.json();',
      'for (;;) await response.json();',
      'await response.json()',
    ],
    [
      'a `then`',
      ORDERS,
      'await this.insertOnce(userId, dto, idempotencyKey)',
      '$&.then((order) => order)',
      'this.insertOnce(userId, dto, idempotencyKey).then',
    ],
    [
      'a `for await`',
      ORDERS,
      'const order = await this.insertOnce(',
      'for await (const _ of []);\n    $&',
      'for await (const _ of []);',
    ],
    [
      'one of several that are waited for together',
      ORDERS,
      /await (this\.insertOnce\(.*?\));/,
      'await Promise.all([$1, Promise.resolve()]).then(([first]) => first);',
      'Promise.all',
    ],
  ];

  it.each(MUTATIONS)('is found, with file and line: %s', (_what, file, from, to, found) => {
    const text = readFileSync(join(sources.checkout, file), 'utf8');
    const changed = text.replace(from, to);
    expect(changed).not.toBe(text);
    const strange = withoutPoints(readSources(new Map([[file, changed]]), sources));
    expect(strange).toEqual(expect.arrayContaining([expect.stringContaining(found)]));
    for (const each of strange) expect(each).toMatch(/^apps\/orders\/src\/\S+\.ts:\d+ /);
  });
});

describe('CRASH_AT', () => {
  beforeAll(() => buildOrders(), 240_000);

  const said = async (value: string): Promise<{ lines: string[]; end: number | string }> => {
    // A database that nobody answers for: what is asked here starts nothing.
    const app = spawnOrders({ CRASH_AT: value, DATABASE_URL: 'postgres://127.0.0.1:1/none' });
    const end = await app.ended;
    return { lines: app.said().split('\n').filter(Boolean), end };
  };

  it('lists the points that the sources have, and no other', async () => {
    const { lines, end } = await said('list');
    expect(end).toBe(0);
    expect(lines.filter((line) => !/^(storage|transaction)\./.test(line)).sort()).toEqual(
      pointsInTheSources(sources).sort(),
    );
    expect(lines).toEqual(expect.arrayContaining(['storage.claim:before', 'transaction.commit:after']));
    const holders = waitsIn(sources).flatMap(({ heldBy }) => heldBy);
    for (const holder of holders.filter((name) => name !== 'storage'))
      expect(lines).toEqual(expect.arrayContaining([`${holder}:before`, `${holder}:after`]));
  });

  it('is refused at the start when there is no such point, with a sentence that lists those that there are', async () => {
    const { lines, end } = await said('OrdersService.place');
    expect(end).toBe(1);
    expect(lines).toEqual([
      expect.stringMatching(
        /^Cannot start: CRASH_AT is 'OrdersService\.place'.*OrdersService\.place:before, OrdersService\.place:after/,
      ),
    ]);
  });

  it('costs nothing when it is not set: methods and storage are what they were', () => {
    const storage = memoryStorage();
    expect(storageWithCrashPoints(storage)).toBe(storage);
    class Shop {
      async buy(): Promise<void> {}
    }
    const { buy } = Shop.prototype;
    CrashPoints()(Shop);
    expect(Shop.prototype.buy).toBe(buy);
  });
});
