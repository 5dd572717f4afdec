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
const APP = 'apps/orders/src';
const ORDERS = `${APP}/orders/orders.service.ts`;
const PLACEMENT = `${APP}/orders/order-placement.ts`;
const GATEWAY = `${APP}/payments/gateway/payment-gateway.ts`;
const STOCK = `${APP}/stock/stock.repository.ts`;
const RESERVATION = `${APP}/stock/stock.consumer.ts`;
const MAIL = `${APP}/mail/mail.consumer.ts`;
const MAILER = `${APP}/mail/mailer.ts`;
const OUTBOX = `${APP}/messages/outbox.ts`;
const PUBLISHER = `${APP}/messages/message-publisher.ts`;
const CLIENT = `${APP}/messages/in-process/in-process.client.ts`;
const SERVER = `${APP}/messages/in-process/in-process.server.ts`;

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

describe('the path of an order, of its messages and of its payment', () => {
  it('waits for nothing that has no point before and after it', () => {
    expect(withoutPoints(sources)).toEqual([]);
  });

  it('is followed from the controllers to the outbox and the payment service, and from the outbox to the mailer', () => {
    const files = waitsIn(sources).map(({ place }) => place.replace(/:\d+$/, ''));
    expect(new Set(files)).toEqual(
      new Set([
        `${APP}/orders/orders.controller.ts`,
        `${APP}/orders/orders.repository.ts`,
        ORDERS,
        PLACEMENT,
        `${APP}/operations/operation-log.ts`,
        GATEWAY,
        `${APP}/payments/payments.controller.ts`,
        `${APP}/payments/payments.repository.ts`,
        `${APP}/payments/payments.service.ts`,
        `${APP}/runs/run-log.ts`,
        PUBLISHER,
        CLIENT,
        SERVER,
        RESERVATION,
        STOCK,
        MAIL,
        MAILER,
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
      'const order = await this.placement.place(',
      'await Promise.resolve();\n    $&',
      'await Promise.resolve()',
    ],
    [
      'a class that is not decorated any more',
      STOCK,
      '@CrashPoints()\n',
      '',
      'await this.stock.takeFor(data.orderId, data.items)',
    ],
    [
      'a method that merely returns a promise',
      STOCK,
      'async takeFor(',
      'takeFor(',
      'await this.stock.takeFor(data.orderId, data.items)',
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
      'return this.placeOnce(userId, dto, idempotencyKey)',
      '$&.then((order) => order)',
      'this.placeOnce(userId, dto, idempotencyKey).then',
    ],
    [
      'a `for await`',
      ORDERS,
      'const order = await this.placement.place(',
      'for await (const _ of []);\n    $&',
      'for await (const _ of []);',
    ],
    [
      'one of several that are waited for together',
      ORDERS,
      /await (this\.placement\.place\(.*?\));/,
      'await Promise.all([$1, Promise.resolve()]).then(([first]) => first);',
      'Promise.all',
    ],
  ];

  const changed = (
    file: string,
    from: string | RegExp,
    to: string,
    text = readFileSync(join(sources.checkout, file), 'utf8'),
  ): string => {
    expect(text).toMatch(from);
    return text.replace(from, to);
  };

  it.each(MUTATIONS)('is found, with file and line: %s', (_what, file, from, to, found) => {
    const strange = withoutPoints(readSources(new Map([[file, changed(file, from, to)]]), sources));
    expect(strange).toEqual(expect.arrayContaining([expect.stringContaining(found)]));
    for (const each of strange) expect(each).toMatch(/^apps\/orders\/src\/\S+\.ts:\d+ /);
  });

  it('is found wherever a message comes by, from the outbox to what its consumers wait for', () => {
    const plants: readonly (readonly [file: string, before: string])[] = [
      [PLACEMENT, 'await this.outbox.add('],
      [OUTBOX, 'publisher.publish('],
      [PUBLISHER, 'await lastValueFrom('],
      [CLIENT, 'await this.server.deliver('],
      [SERVER, 'await this.untilOpen('],
      [RESERVATION, 'await this.stock.takeFor('],
      [MAIL, 'await op.step('],
      [MAIL, 'this.mailer.send('],
      [MAILER, 'await this.post('],
    ];
    const texts = new Map([[OUTBOX, changed(OUTBOX, '(message) =>', 'async (message) =>')]]);
    for (const [file, before] of plants) {
      const planted = `(await Promise.resolve('before ${before}')) ?? $&`;
      texts.set(file, changed(file, before, planted, texts.get(file)));
    }
    const strange = withoutPoints(readSources(texts, sources));
    for (const [file, before] of plants)
      expect(strange).toContainEqual(
        expect.stringMatching(
          new RegExp(`^${file}:\\d+ await Promise.resolve\\('before ${before.replace('(', '\\(')}`),
        ),
      );
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
