import { describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { Idempotent, IdempotencyService, messageKey } from 'nestjs-idempotent';
import { Gate } from 'nestjs-idempotent/testing';
import { eventually } from '../http/support/eventually.js';
import { watchTimers } from '../http/support/timers.js';
import { startTcp } from './support/tcp-app.js';
import { consumer } from './support/one-consumer.js';
import { adapters, startWs } from './support/ws-app.js';

const CLIENTS = 40;

describe.each(adapters)('clients of a WebSocket that leave while their messages run ($name)', (kind) => {
  it('find one outcome for each when they come again, and no lease, timer or listener is left', async () => {
    const timers = watchTimers();
    const gate = new Gate();
    const runs = new Map<string, number>();
    @WebSocketGateway()
    class Gateway {
      @SubscribeMessage('x')
      @Idempotent({ key: messageKey('id') })
      async handle(@MessageBody() { id }: { id: string }) {
        runs.set(id, (runs.get(id) ?? 0) + 1);
        await gate.pass();
        return { id };
      }
    }
    const app = await startWs(kind, { providers: [Gateway] });
    const ids = Array.from({ length: CLIENTS }, (_, index) => `m${index}`);

    const peers = await Promise.all(ids.map(() => kind.connect(app)));
    for (const [index, peer] of peers.entries()) peer.tell('x', { id: ids[index] });
    await gate.reached(CLIENTS);
    for (const peer of peers) peer.close();
    gate.open();
    const counters = () => app.app.get(IdempotencyService).counters();
    await eventually(() => expect(counters().get('completed')).toBe(CLIENTS));
    const peer = await kind.connect(app);
    for (const id of ids) expect(await peer.ask('x', { id })).toEqual({ id });

    expect([...runs.values()]).toEqual(Array(CLIENTS).fill(1));
    expect(counters().get('replayed')).toBe(CLIENTS);
    await app.close();
    expect(timers.pending()).toBe(0);
    timers.stop();
  });
});

describe('an app that stops while messages run over TCP', () => {
  it('leaves no timer', async () => {
    const timers = watchTimers();
    const gate = new Gate();
    const app = await startTcp({ controllers: [consumer(() => gate.pass())] });

    const first = app.send('orders.create', { id: 'm' });
    await gate.reached();
    const waiting = app.send('orders.create', { id: 'm' });
    await app.send('orders.create', {});
    await (app.app as unknown as { close(): Promise<void> }).close();
    gate.open();
    await Promise.allSettled([first, waiting]);

    await eventually(() => expect(timers.pending()).toBe(0));
    timers.stop();
  });
});
