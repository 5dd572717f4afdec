import { describe, expect, it } from '@jest/globals';
import type { RedisClient, RedisCommand } from './redis-client.js';
import { commandLine } from './replica-wait.js';

/** A client whose answers come when the test says so, in the order of the commands. */
class SilentClient implements RedisClient {
  readonly sent: string[] = [];
  private readonly waiting: ((value: unknown) => void)[] = [];

  isReady(): boolean {
    return true;
  }

  connectionId(): unknown {
    return 1;
  }

  send(command: RedisCommand): Promise<unknown> {
    this.sent.push(command.join(' '));
    return new Promise((answer) => this.waiting.push(answer));
  }

  answerNext(value: unknown): void {
    this.waiting.shift()?.(value);
  }
}

/** Lets everything that is settled be heard of. */
const turn = () => new Promise(setImmediate);

describe('changes that wait for replicas', () => {
  function line() {
    const client = new SilentClient();
    const clock = { now: 0 };
    const wait = { replicas: 1, timeoutMs: 100 };
    const made = commandLine(client, 'Redis at test', wait, () => clock.now);
    return { client, clock, change: (name: string) => made.send([name], () => true), read: made };
  }

  it('go out together, with one WAIT behind them', async () => {
    const { client, change } = line();
    const answers = [change('A'), change('B')];
    await turn();
    expect(client.sent).toEqual(['A', 'B', 'WAIT 1 100']);
    for (const value of ['a', 'b', 1]) client.answerNext(value);
    await expect(Promise.all(answers)).resolves.toEqual(['a', 'b']);
  });

  it('gather while a WAIT is under way; what changes nothing goes out at once', async () => {
    const { client, change, read } = line();
    void change('A');
    await turn();
    void change('B');
    void change('C');
    void read.send(['READ']);
    await turn();
    expect(client.sent).toEqual(['A', 'WAIT 1 100', 'READ']);
    for (const value of ['a', 1, 'read']) client.answerNext(value);
    await turn();
    expect(client.sent.slice(3)).toEqual(['B', 'C', 'WAIT 1 100']);
  });

  it('are not sent any more once their callers are gone', async () => {
    const { client, clock, change } = line();
    void change('A');
    await turn();
    const held = change('B');
    clock.now = 1_200;
    client.answerNext('a');
    client.answerNext(1);
    await expect(held).rejects.toThrow('was waiting for its replicas, so nothing was sent');
    expect(client.sent).toEqual(['A', 'WAIT 1 100']);
  });

  it('are refused when the replicas cannot be asked', async () => {
    const client = new SilentClient();
    const send = client.send.bind(client);
    client.send = (command) =>
      command[0] === 'WAIT' ? Promise.reject(new Error('ERR WAIT cannot be used')) : send(command);
    const change = commandLine(client, 'Redis at test', { replicas: 1, timeoutMs: 100 }).send(
      ['A'],
      () => true,
    );
    await turn();
    client.answerNext('a');
    await expect(change).rejects.toThrow('but asking them failed: ERR WAIT cannot be used');
  });
});
