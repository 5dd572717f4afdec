import { describe, expect, it } from '@jest/globals';
import { lastValueFrom, throwError } from 'rxjs';
import type { EventFailedError } from '../../apps/orders/src/messages/in-process/event-failed.error.js';
import { InProcessClient } from '../../apps/orders/src/messages/in-process/in-process.client.js';
import { InProcessServer } from '../../apps/orders/src/messages/in-process/in-process.server.js';
import { MessageRefusedError } from '../../apps/orders/src/messages/message-refused.js';

const PATTERN = 'orders.placed';

/** A server that listens, with these consumers of one event, and a client on it. */
function connected(...consumers: readonly ((data: never) => unknown)[]) {
  const server = new InProcessServer();
  for (const consumer of consumers)
    server.addHandler(PATTERN, (async (data: never) => consumer(data)) as never);
  const client = new InProcessClient(server);
  const emit = (data: unknown, pattern = PATTERN): Promise<unknown> =>
    lastValueFrom(client.emit(pattern, data), { defaultValue: undefined });
  return { server, emit, listen: () => server.listen(() => undefined) };
}

/** Something that a consumer waits for. */
function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

const failureOf = (emitted: Promise<unknown>): Promise<unknown> =>
  emitted.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('an event inside the process', () => {
  it('is emitted when every consumer of it is through', async () => {
    const heard: string[] = [];
    const slow = gate();
    const { emit, listen } = connected(
      () => heard.push('quick'),
      async () => {
        await slow.opened;
        heard.push('slow');
      },
    );
    listen();
    const emitted = emit({}).then(() => heard.push('emitted'));
    await new Promise(setImmediate);
    expect(heard).toEqual(['quick']);
    slow.open();
    await emitted;
    expect(heard).toEqual(['quick', 'slow', 'emitted']);
  });

  it.each([
    ['throws', () => Promise.reject(new Error('no paper'))],
    ['answers with a stream that fails', () => throwError(() => ({ status: 'error', message: 'no paper' }))],
  ])('fails when one consumer %s, but not before the others are through', async (_how, failing) => {
    const heard: string[] = [];
    const slow = gate();
    const { emit, listen } = connected(failing, async () => {
      await slow.opened;
      heard.push('slow');
    });
    listen();
    const failure = failureOf(emit({}));
    slow.open();
    expect(await failure).toMatchObject({
      message: `A consumer of ${PATTERN} has failed: no paper`,
      isFinal: false,
    });
    expect(heard).toEqual(['slow']);
  });

  it('is refused for good only when nobody who failed may do better next time', async () => {
    const refuse = () => Promise.reject(new MessageRefusedError(['data must be an object']));
    const fail = () => Promise.reject(new Error('no paper'));
    const of = async (...consumers: (() => unknown)[]) => {
      const { emit, listen } = connected(...consumers);
      listen();
      return (await failureOf(emit({}))) as EventFailedError;
    };
    expect(await of(refuse, () => undefined)).toMatchObject({ isFinal: true });
    expect(await of(refuse, fail)).toMatchObject({ isFinal: false });
    expect((await of(refuse)).message).toContain('data must be an object');
  });

  it('comes to each consumer as a copy of its own, as JSON has it', async () => {
    const heard: unknown[] = [];
    const change = (data: { list?: number[] }) => {
      heard.push({ ...data });
      data.list = [];
    };
    const { emit, listen } = connected(change, change);
    listen();
    const sent = { list: [1], nothing: undefined };
    await emit(sent);
    expect(heard).toStrictEqual([{ list: [1] }, { list: [1] }]);
    expect(sent.list).toEqual([1]);
  });

  it('waits for the consumers to listen', async () => {
    const heard: unknown[] = [];
    const { emit, listen } = connected((data) => heard.push(data));
    const emitted = emit({ id: 1 });
    await new Promise(setImmediate);
    expect(heard).toEqual([]);
    listen();
    await emitted;
    expect(heard).toEqual([{ id: 1 }]);
  });

  it('that nobody consumes has failed', async () => {
    const { emit, listen } = connected();
    listen();
    await expect(emit({}, 'orders.lost')).rejects.toThrow('The app has no consumer of orders.lost.');
  });

  it('is waited for when the app closes, and no other is taken any more', async () => {
    const slow = gate();
    const { server, emit, listen } = connected(() => slow.opened);
    listen();
    const running = emit({});
    await new Promise(setImmediate);
    let closed = false;
    const closing = server.close().then(() => (closed = true));
    await expect(emit({})).rejects.toThrow('The app is closing');
    expect(closed).toBe(false);
    slow.open();
    await Promise.all([running, closing]);
  });
});
