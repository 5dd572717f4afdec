import { IdempotencyService, type IdempotentOperation, type IdempotentOptions } from 'nestjs-idempotent';
import { FakeClock, Gate, MemoryStorage } from 'nestjs-idempotent/testing';
import type { Platform } from '../../support/apps.js';
import { start } from './apps.js';
import { ordersController, type Handler } from './orders.controller.js';
import { send } from './requests.js';

/** The lease that routes have unless they say otherwise. */
const LEASE_MS = 30_000;
const body = { sku: 'A-123' };

/**
 * The lease of a first request has run out while its handler stands still: what a crash leaves behind.
 *
 * @param first what that handler does; it stands still at the gate
 */
export async function crashedRun(
  platform: Platform,
  options: IdempotentOptions,
  handler: Handler = (_body, { attempt, takenOver }) => ({ attempt, takenOver }),
  first: (op: IdempotentOperation, gate: Gate) => Promise<unknown> = async (_op, gate) => ({
    dead: await gate.pass(),
  }),
) {
  const clock = new FakeClock();
  const gate = new Gate();
  const storage = new MemoryStorage({ clock });
  const setUp = { options: { storage } };
  const dead = await start(platform, {
    ...setUp,
    controllers: [ordersController((_body, op) => first(op, gate), options)],
  });
  const request = send(dead, '/orders', { key: 'k', body });
  await gate.reached();
  await clock.advance(LEASE_MS);
  const app = await start(platform, { ...setUp, controllers: [ordersController(handler, options)] });
  const service = app.app.get(IdempotencyService);
  const id = service.recordId({ operation: 'POST /orders', key: 'k' });
  /** The dead come back, as a process does that only stood still. */
  const wake = async () => {
    gate.open();
    return request;
  };
  const fail = async () => {
    gate.fail();
    return request;
  };
  return { app, service, id, storage, wake, fail };
}
