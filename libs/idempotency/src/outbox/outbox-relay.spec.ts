import { describe, expect, it } from '@jest/globals';
import { AsyncLocalStorage } from 'node:async_hooks';
import { SimpleOutboxTable } from '../../../../test/outbox/support/simple-outbox-table.js';
import { systemClock } from '../nest/system-ports.js';
import type { OpenOutbox } from './outbox-runtime.js';
import { OutboxRelay } from './outbox-relay.js';
import { OutboxRuntime } from './outbox-runtime.js';

describe('the relay of an application', () => {
  it('publishes in the context of no request, also where a request has asked for its first round', async () => {
    const requests = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const runtime = new OutboxRuntime({ publish: () => seen.push(requests.getStore()) });
    const table = new SimpleOutboxTable(systemClock);
    runtime.opens({ table } as object as OpenOutbox);
    const relay = new OutboxRelay(runtime);
    table.add(1);
    await requests.run('request 1', () => relay.runOnce());
    table.add(1);
    await relay.runOnce();
    expect(seen).toEqual([undefined, undefined]);
  });
});
