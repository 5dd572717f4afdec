import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { startPayments, type PaymentsAnswer, type PaymentsService } from '../support/payments-service.js';

/** All tests share one service, since each kills and starts it anyway; each charges for an order of its own. */
let payments: PaymentsService;
beforeAll(async () => (payments = await startPayments()), 30_000);
afterAll(() => payments.stop());

let reference: string;
beforeEach(() => {
  reference = randomUUID();
});
const charge = (name: string): Promise<PaymentsAnswer> =>
  payments.charge(`${name}-${reference}`, { amount: 1999, card: 'visa', reference });
const charges = () => payments.charges(reference);

describe('a payment service that is killed with -9', () => {
  it('has lost nothing that it has confirmed: charges, refusals and refunds', async () => {
    const declining = { amount: 1, card: 'declined', reference };
    const charged = await charge('a');
    const refused = await payments.charge('declined', declining);
    const refunded = await payments.refund('refund', charged.body.id as string);
    await payments.kill();

    await payments.start();
    expect(await charge('a')).toEqual(charged);
    expect(await payments.charge('declined', declining)).toEqual(refused);
    expect(await payments.refund('refund', charged.body.id as string)).toEqual(refunded);
    expect(await charges()).toEqual([{ ...charged.body, status: 'refunded' }]);
    expect((await payments.charge('declined', { ...declining, amount: 2 })).body.code).toBe('key-reused');
  }, 30_000);

  it.each([
    ['before-write', 0],
    ['after-write', 1],
  ] as const)(
    'at %s has charged %i times, and with a retry it is one',
    async (point, charged) => {
      await payments.breakAt({ point, kind: 'die' });
      await expect(charge('a')).rejects.toThrow('fetch failed');
      expect(await payments.hasDied()).toBe('SIGKILL');

      await payments.start();
      expect(await charges()).toHaveLength(charged);
      expect((await charge('a')).status).toBe(201);
      expect(await charges()).toHaveLength(1);
    },
    30_000,
  );

  it('under load keeps every charge that was confirmed, and a retry of all makes one of each', async () => {
    const keys = Array.from({ length: 300 }, (_, at) => `load-${at}`);
    const confirmed: unknown[] = [];
    const all = keys.map(async (key) => confirmed.push((await charge(key)).body));
    await Promise.race(all.slice(100));
    await payments.kill();
    await Promise.allSettled(all);
    expect(confirmed.length).toBeGreaterThan(0);

    await payments.start();
    const kept = await charges();
    for (const each of confirmed) expect(kept).toContainEqual(each);
    await Promise.all(keys.map((key) => charge(key)));
    expect(await charges()).toHaveLength(keys.length);
  }, 30_000);

  it('and told by its environment to fail, does so from its start on', async () => {
    await payments.kill();
    await payments.start({ PAYMENTS_FAULT: 'after-write:break' });
    await expect(charge('a')).rejects.toThrow('fetch failed');
    expect((await charge('a')).status).toBe(201);
    expect(await charges()).toHaveLength(1);
  }, 30_000);
});

describe('a ledger', () => {
  it('with a torn last line starts without it, and the retry of that charge charges', async () => {
    const first = await charge('first');
    await charge('second');
    await payments.kill();
    payments.ledger.write(payments.ledger.read().slice(0, -10));

    await payments.start();
    expect(await charges()).toEqual([first.body]);
    expect((await charge('second')).status).toBe(201);
    expect(await charges()).toHaveLength(2);
    const lines = payments.ledger.read().trim().split('\n');
    expect(() => lines.map((line) => JSON.parse(line.slice(9)) as unknown)).not.toThrow();
  }, 30_000);

  it('with blocks of zeros at its end, as after a crash of the machine, starts without them', async () => {
    const first = await charge('first');
    await payments.kill();
    payments.ledger.append(`${'\0'.repeat(100)}\n${'\0'.repeat(50)}`);

    await payments.start();
    expect(await charge('first')).toEqual(first);
    await charge('second');
    expect(payments.ledger.read()).not.toContain('\0');
  }, 30_000);

  it('that cannot be written, as on a full disk, charges nobody, and /health says so until a restart', async () => {
    const first = await charge('first');
    payments.fillDisk();
    expect((await charge('second')).status).toBe(500);
    expect((await charge('third')).status).toBe(500);
    expect(await charge('first')).toEqual(first);
    expect(await payments.health()).toMatchObject({ status: 503, body: { code: 'ledger-unwritable' } });
    await payments.kill();

    await payments.start();
    expect((await payments.health()).status).toBe(200);
    expect(await charges()).toEqual([first.body]);
    expect((await charge('second')).status).toBe(201);
  }, 30_000);

  it('is written by one service at a time: a second one is refused', async () => {
    expect(await payments.secondStart()).toMatch(/Cannot start: Process \d+ has held \S+ledger.lock/);
    expect((await charge('a')).status).toBe(201);
  }, 30_000);

  it('that is damaged in its midst is refused with the number of the line, since a charge may be missing', async () => {
    await charge('last');
    await payments.kill();
    const [first = '', ...others] = payments.ledger.read().split('\n');
    payments.ledger.write([first.replace('1999', '1'), ...others].join('\n'));
    expect(await payments.secondStart()).toMatch(/^Cannot start: Line 1 of the ledger \S+ is damaged/);
  }, 30_000);
});
