import { beforeEach, describe, expect, it } from '@jest/globals';
import { StorageUnavailableError } from '../core/errors.js';
import { CommandGate } from './command-gate.js';
import type { RedisClient, RedisCommand } from './redis-client.js';

/** A client whose answers come when the test says so, in the order of the commands. */
class SilentClient implements RedisClient {
  ready = true;
  readonly sent: RedisCommand[] = [];
  private readonly waiting: { answer: (value: unknown) => void; fail: (error: Error) => void }[] = [];

  isReady(): boolean {
    return this.ready;
  }

  send(command: RedisCommand): Promise<unknown> {
    this.sent.push(command);
    return new Promise((answer, fail) => this.waiting.push({ answer, fail }));
  }

  connectionId(): unknown {
    return 1;
  }

  async answerNext(): Promise<void> {
    this.waiting.shift()?.answer('OK');
    await Promise.resolve();
  }

  async loseConnection(): Promise<void> {
    for (const { fail } of this.waiting.splice(0)) fail(new Error('Socket closed unexpectedly'));
    await Promise.resolve();
  }
}

describe('CommandGate', () => {
  let client: SilentClient;
  let now: number;
  let gate: CommandGate;

  beforeEach(() => {
    client = new SilentClient();
    now = 1_000;
    gate = new CommandGate(client, 'Redis at test', () => now);
  });

  it('lets commands through while Redis answers', async () => {
    const answer = gate.send(['PING']);
    await client.answerNext();
    await expect(answer).resolves.toBe('OK');
    now += 3_600_000;
    void gate.send(['PING']);
    expect(client.sent).toHaveLength(2);
  });

  it('sends nothing while there is no connection', async () => {
    client.ready = false;
    await expect(gate.send(['PING'])).rejects.toThrow(StorageUnavailableError);
    await expect(gate.send(['PING'])).rejects.toThrow('Redis at test is not connected, so nothing was sent.');
    expect(client.sent).toHaveLength(0);
  });

  it('sends nothing more once Redis has owed an answer for five seconds, and keeps waiting for those on the way', async () => {
    const first = gate.send(['GET', 'a']);
    now += 4_999;
    const second = gate.send(['GET', 'b']);
    now += 2;
    await expect(gate.send(['GET', 'c'])).rejects.toThrow('has not answered for 5001 ms');
    expect(client.sent).toHaveLength(2);
    await client.answerNext();
    await expect(first).resolves.toBe('OK');
    void gate.send(['GET', 'd']);
    expect(client.sent).toHaveLength(3);
    await client.answerNext();
    await expect(second).resolves.toBe('OK');
  });

  it('counts the silence from the last answer, so a slow Redis is used as long as it moves', async () => {
    const answers = ['a', 'b', 'c'].map((key) => gate.send(['GET', key]));
    for (const answer of answers) {
      now += 4_000;
      await client.answerNext();
      await answer;
    }
    expect(gate.silentMs).toBe(0);
    void gate.send(['GET', 'd']);
    expect(client.sent).toHaveLength(4);
  });

  it('owes nothing any more after the connection was lost', async () => {
    const answer = gate.send(['PING']);
    now += 10_000;
    const lost = expect(answer).rejects.toThrow('Socket closed unexpectedly');
    await client.loseConnection();
    await lost;
    expect(gate.silentMs).toBe(0);
    void gate.send(['PING']);
    expect(client.sent).toHaveLength(2);
  });
});
