import { performance } from 'node:perf_hooks';
import { InvalidOptionsError, StorageUnavailableError, type IdempotencyError } from '../core/errors.js';
import { durationMs, inWords, type Duration } from '../core/duration.js';
import { CommandGate, notSent } from './command-gate.js';
import type { RedisClient, RedisCommand } from './redis-client.js';
import { messageOf } from './redis-errors.js';

/** How many replicas must have a change before it counts, and how long they are waited for. */
export interface ReplicaWait {
  readonly replicas: number;
  readonly timeoutMs: number;
}

/** Half of what a claim has by default for each of its two questions. */
const DEFAULT_TIMEOUT: Duration = '250ms';
const PLAIN_NUMBER_LIMIT_S = 60;
/**
 * While a connection waits it answers nothing. For longer it would count as silent, as at start, where the replicas are
 * asked for twice.
 */
const LONGEST_TIMEOUT_MS = 2_000;

export function replicaWait(
  option: number | { readonly replicas: number; readonly timeout?: Duration } | undefined,
): ReplicaWait | undefined {
  if (option === undefined) return undefined;
  const { replicas, timeout } =
    typeof option === 'object' && option !== null ? option : { replicas: option, timeout: undefined };
  if (!Number.isInteger(replicas) || replicas < 1) {
    throw new InvalidOptionsError(
      `redisStorage: \`waitReplicas\` is ${typeof replicas === 'string' ? `'${String(replicas)}'` : String(replicas)}. Give the number of replicas that must have a change, 1 or more, or leave it out.`,
    );
  }
  const timeoutMs = durationMs('waitReplicas.timeout', timeout ?? DEFAULT_TIMEOUT, PLAIN_NUMBER_LIMIT_S);
  if (timeoutMs > LONGEST_TIMEOUT_MS) {
    throw new InvalidOptionsError(
      `redisStorage: \`waitReplicas.timeout\` is ${inWords(timeoutMs)}, and all calls of this process stand in line meanwhile. Give ${inWords(LONGEST_TIMEOUT_MS)} at most.`,
    );
  }
  return { replicas, timeoutMs };
}

/** Whether an answer stands for a change, so that it counts only once the replicas have it. */
export type IsChange = (answer: unknown) => boolean;

/** What commands of one connection go through. */
export interface CommandLine {
  readonly silentMs: number;
  /** @param isChange absent for commands that change nothing */
  send(command: RedisCommand, isChange?: IsChange): Promise<unknown>;
}

export function commandLine(
  client: RedisClient,
  where: string,
  wait: ReplicaWait | undefined,
  now: () => number = () => performance.now(),
): CommandLine {
  const gate = new CommandGate(client, where, now);
  return wait === undefined ? gate : new ConfirmedLine(gate, client, where, wait, now);
}

interface Held {
  readonly command: RedisCommand;
  readonly isChange: IsChange;
  readonly since: number;
  answer(value: unknown): void;
  fail(error: unknown): void;
}

/** A group that is held for longer has lost its callers. */
const HELD_TOO_LONG_MS = 1_000;

/**
 * Sends what changes records in groups, each followed by one WAIT on the same connection, in one trip: an answer that
 * stands for a change is given out when enough replicas have it, else it is an error.
 *
 * WAIT blocks the connection, so while one is under way the next group gathers. Else every turn of the event loop would
 * put one more WAIT into the queue, and without its replicas Redis would be behind by ever more timeouts.
 */
class ConfirmedLine implements CommandLine {
  private held: Held[] = [];
  private busy = false;
  private readonly waitCommand: RedisCommand;

  constructor(
    private readonly gate: CommandGate,
    private readonly client: RedisClient,
    private readonly where: string,
    private readonly wait: ReplicaWait,
    private readonly now: () => number,
  ) {
    this.waitCommand = ['WAIT', String(wait.replicas), String(wait.timeoutMs)];
  }

  get silentMs(): number {
    return this.gate.silentMs;
  }

  send(command: RedisCommand, isChange?: IsChange): Promise<unknown> {
    if (isChange === undefined) return this.gate.send(command);
    const refusal = this.gate.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((answer, fail) => {
      this.held.push({ command, isChange, since: this.now(), answer, fail });
      if (this.busy) return;
      this.busy = true;
      // Everything that is sent in this turn, such as all renewals, shares one WAIT.
      queueMicrotask(() => void this.sendGroups());
    });
  }

  private async sendGroups(): Promise<void> {
    while (this.held.length > 0) await this.sendGroup(this.held.splice(0));
    this.busy = false;
  }

  private async sendGroup(held: readonly Held[]): Promise<void> {
    const oldest = this.now() - this.wait.timeoutMs - HELD_TOO_LONG_MS;
    const group = held.filter(({ since }) => since >= oldest);
    for (const { since, fail } of held) {
      if (since < oldest) fail(notSent(this.where, `was waiting for its replicas`));
    }
    if (group.length === 0) return;
    const connection = this.client.connectionId();
    const answers = group.map(({ command }) => this.gate.send(command));
    const confirmed = this.gate.send(this.waitCommand).then(
      (count) => this.problem(Number(count), connection),
      (error: unknown) => this.unconfirmed(`asking them failed: ${messageOf(error)}`, error),
    );
    group.forEach(({ isChange, answer, fail }, index) => {
      (answers[index] as Promise<unknown>).then(async (value) => {
        const problem = isChange(value) ? await confirmed : undefined;
        if (problem === undefined) answer(value);
        else fail(problem);
      }, fail);
    });
    await confirmed;
  }

  /** A client may send WAIT anew on its next connection, where it says nothing about what went over the last one. */
  private problem(count: number, connection: unknown): IdempotencyError | undefined {
    if (connection === undefined) {
      return new InvalidOptionsError(
        'redisStorage: `waitReplicas` needs a `client` that tells when its connection was made anew, which this version does not. ' +
          'Of the package `redis` use 5.12 or later.',
      );
    }
    if (this.client.connectionId() !== connection) {
      return this.unconfirmed('the connection was made anew before they answered');
    }
    if (count >= this.wait.replicas) return undefined;
    return this.unconfirmed(`${count} did within ${this.wait.timeoutMs} ms`);
  }

  private unconfirmed(reason: string, cause?: unknown): StorageUnavailableError {
    return new StorageUnavailableError(
      `${this.where} made a change that \`waitReplicas: ${this.wait.replicas}\` replicas must have, but ${reason}. ` +
        'A failover might lose it, so it does not count. See to the replicas, or lower `waitReplicas`.',
      cause === undefined ? undefined : { cause },
    );
  }
}
