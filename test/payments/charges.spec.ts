import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { startPayments, type PaymentsService } from '../support/payments-service.js';

let payments: PaymentsService;
beforeAll(async () => (payments = await startPayments()), 30_000);
afterAll(() => payments.stop());

/** One for an order of its own. */
const charging = (more: object = {}) => ({ amount: 1999, card: 'visa', reference: randomUUID(), ...more });

const idOfNewCharge = async (body = charging(), key = randomUUID()) =>
  (await payments.charge(key, body)).body.id as string;

describe('a charge', () => {
  it('is made once per key, and whoever asks again gets the same answer', async () => {
    const body = charging();
    const first = await payments.charge('once', body);
    expect(first).toMatchObject({ status: 201, body: { amount: 1999, reference: body.reference } });
    expect(await payments.charge('once', body)).toEqual(first);
    expect(await payments.charges(body.reference)).toEqual([first.body]);
  });

  it('is the same charge whether its key is sent bare or as a quoted string', async () => {
    const body = charging();
    const first = await payments.charge('quoted', body);
    expect(await payments.charge('"quoted"', body)).toEqual(first);
  });

  it('of a slow card takes three seconds, and is made once by many who send its key at the same moment', async () => {
    const body = charging({ card: 'slow' });
    const from = performance.now();
    const answers = await Promise.all(Array.from({ length: 20 }, () => payments.charge('at-once', body)));
    expect(performance.now() - from).toBeGreaterThan(2_900);
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await payments.charges(body.reference)).toEqual([answers[0]?.body]);
  });

  it.each([{ amount: 2000 }, { card: 'amex' }, { reference: 'another' }])(
    'is refused when its key was first used for another one: %j',
    async (other) => {
      const key = randomUUID();
      const body = charging();
      await payments.charge(key, body);
      expect(await payments.charge(key, { ...body, ...other })).toMatchObject({
        status: 422,
        body: { code: 'key-reused' },
      });
      expect(await payments.charges(body.reference)).toHaveLength(1);
    },
  );

  it('of a declined card is refused with 402, the same each time, and moves no money', async () => {
    const body = charging({ card: 'declined' });
    const first = await payments.charge('declined', body);
    expect(first).toMatchObject({ status: 402, body: { code: 'card-declined' } });
    expect(await payments.charge('declined', body)).toEqual(first);
    expect(await payments.charges(body.reference)).toEqual([]);
  });

  it('for the card `down` gets no answer at all, and moves no money', async () => {
    const body = charging({ card: 'down' });
    await expect(payments.charge('down', body)).rejects.toThrow('fetch failed');
    expect(await payments.charges(body.reference)).toEqual([]);
  });

  it('needs a key', async () => {
    expect(await payments.charge(undefined)).toMatchObject({ status: 400, body: { code: 'key-missing' } });
  });

  it.each([{ amount: -1 }, { amount: 1.5 }, { amount: '5' }, { card: '' }, { reference: 7 }])(
    'is refused with 400 when it is not one: %j',
    async (wrong) => {
      const answer = await payments.charge(randomUUID(), charging(wrong));
      expect(answer).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
      expect(answer.body.errors).toEqual([expect.stringContaining(Object.keys(wrong)[0]!)]);
    },
  );
});

describe('a refund', () => {
  it('gives a charge back, once per key', async () => {
    const body = charging();
    const id = await idOfNewCharge(body);
    const first = await payments.refund('back', id);
    expect(first).toMatchObject({ status: 201, body: { charge: id } });
    expect(await payments.refund('back', id)).toEqual(first);
    expect(await payments.charges(body.reference)).toEqual([expect.objectContaining({ status: 'refunded' })]);
  });

  it('is made once also under two keys at the same moment: the second one is told so', async () => {
    const id = await idOfNewCharge();
    const answers = await Promise.all([payments.refund(randomUUID(), id), payments.refund(randomUUID(), id)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409]);
    expect(answers.find(({ status }) => status === 409)?.body.code).toBe('already-refunded');
  });

  it('of a charge that never was is refused, and the key stays free', async () => {
    expect(await payments.refund('early', 'ch_none')).toMatchObject({
      status: 404,
      body: { code: 'charge-not-found' },
    });
    const id = await idOfNewCharge();
    expect((await payments.refund('early', id)).status).toBe(201);
  });

  it('does not share keys with charges', async () => {
    const key = randomUUID();
    const id = await idOfNewCharge(charging(), key);
    expect(await payments.refund(key, id)).toMatchObject({ status: 422, body: { code: 'key-reused' } });
  });
});
