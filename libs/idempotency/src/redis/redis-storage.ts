import { RecordUnreadableError, StorageUnavailableError } from '../core/errors.js';
import type {
  Claim,
  ClaimOutcome,
  ClaimRequest,
  IdempotencyStorage,
  OwnerOutcome,
  RecordQuery,
  RecordView,
  ReleaseOptions,
  Renewal,
  StorageHost,
} from '../core/idempotency-storage.js';
import type { RedisArgument, RedisCommand } from './redis-client.js';
import { beforeDeadline, type RedisConnection } from './redis-connection.js';
import { asStorageError, asUnreachable } from './redis-errors.js';
import { RedisRecord, unreadable } from './redis-record.js';
import { keysWithPrefix } from './scan.js';
import { runScript } from './script-runner.js';
import { REDIS_SCRIPTS, type RedisScripts, type ScriptName } from './scripts/index.js';
import { CODE } from './scripts/record.lua.js';
import { checkServers } from './server-checks.js';

/** Records that `find` reads at the same time: their results may be large. */
const READ_TOGETHER = 32;
/** The record's layout has one byte for the length of each, two for a step's name. */
const MAX_TOKEN_BYTES = 255;
const MAX_STEP_NAME_BYTES = 65_535;

/** Records in Redis: one string each, changed by scripts of one key each, on the server's clock. */
export class RedisStorage implements IdempotencyStorage {
  readonly name = 'redis';
  readonly shared = true;

  constructor(
    private readonly connection: RedisConnection,
    private readonly scripts: RedisScripts = REDIS_SCRIPTS,
  ) {}

  async start(host?: StorageHost): Promise<void> {
    const { connection } = this;
    await connection.open(host);
    try {
      await beforeDeadline(
        checkServers(connection, this.scripts, host),
        connection.where,
        () => 'it does not answer',
      );
    } catch (error) {
      await connection.close();
      throw asUnreachable(connection.where, error);
    }
  }

  async stop(): Promise<void> {
    await this.connection.close();
  }

  async claim(id: string, request: ClaimRequest): Promise<ClaimOutcome> {
    const { ownerToken, fingerprint, leaseMs, keepMs, takeOver } = request;
    const [code, remainingMs, bytes] = await this.run('claim', id, [
      bounded(ownerToken, MAX_TOKEN_BYTES),
      bounded(fingerprint, MAX_TOKEN_BYTES),
      wholeMs(leaseMs),
      wholeMs(keepMs),
      takeOver ? '1' : '0',
      ...(this.connection.replicaWait === undefined ? [] : ['1']),
    ]);
    switch (code) {
      case CODE.claimedNew:
        return { kind: 'claimed', attempt: 1, steps: new Map(), previous: 'none' };
      case CODE.inProgress:
        return { kind: 'in_progress', fingerprint: String(bytes), leaseRemainingMs: Number(remainingMs) };
      case CODE.abandoned:
        return { kind: 'abandoned', fingerprint: String(bytes) };
      case CODE.completed: {
        const { fingerprint, result } = new RedisRecord(bytes as Buffer);
        return { kind: 'completed', fingerprint, result, expiresInMs: Math.max(0, Number(remainingMs)) };
      }
      default: {
        const { attempt, steps, previous } = new RedisRecord(bytes as Buffer);
        return { kind: 'claimed', attempt, steps, previous };
      }
    }
  }

  /** An unreadable record counts as lost: it must not hold up the leases of all the others. */
  async renew(claims: readonly Renewal[]): Promise<readonly OwnerOutcome[]> {
    const renewals = claims.map(({ claim, leaseMs }) =>
      this.change('renew', claim, [wholeMs(leaseMs)]).catch((error: unknown): OwnerOutcome => {
        if (error instanceof RecordUnreadableError) return 'lease_lost';
        throw error;
      }),
    );
    return Promise.all(renewals);
  }

  complete(claim: Claim, result: Uint8Array, ttlMs: number): Promise<OwnerOutcome> {
    return this.change('complete', claim, [wholeMs(ttlMs), asBuffer(result)]);
  }

  release(claim: Claim, { forget }: ReleaseOptions): Promise<OwnerOutcome> {
    return this.change('release', claim, [forget ? '1' : '0']);
  }

  async saveStep(claim: Claim, name: string, value: Uint8Array): Promise<OwnerOutcome> {
    return this.change('saveStep', claim, [bounded(name, MAX_STEP_NAME_BYTES), asBuffer(value)]);
  }

  get(id: string): Promise<RecordView | undefined> {
    return this.view(id, '', 0);
  }

  async forget(id: string): Promise<boolean> {
    const { connection } = this;
    const key = connection.keyPrefix.sent + id;
    const removed = await connection.send(['DEL', key], key, (count) => count === 1).catch(this.failed);
    refuseQueued(connection.where, removed);
    return removed === 1;
  }

  /** Keys that hold no record are passed over: a Redis may hold other things beside. */
  async *find({ idPrefix, state, minAgeMs }: RecordQuery): AsyncIterable<RecordView> {
    const read = (id: string) =>
      this.view(id, state ?? '', minAgeMs ?? 0).catch((error: unknown) => {
        if (error instanceof RecordUnreadableError) return undefined;
        throw error;
      });
    for await (const ids of this.idsWithPrefix(idPrefix)) {
      for (let at = 0; at < ids.length; at += READ_TOGETHER) {
        const views = await Promise.all(ids.slice(at, at + READ_TOGETHER).map(read));
        yield* views.filter((view) => view !== undefined);
      }
    }
  }

  /** Redis removes what has expired by itself. */
  async purgeExpired(_limit: number): Promise<number> {
    return 0;
  }

  /** From one server after another, also from those that come meanwhile. A key that moves between them is given once. */
  private async *idsWithPrefix(idPrefix: string): AsyncIterable<readonly string[]> {
    const { connection } = this;
    const { stored } = connection.keyPrefix;
    const [seen, walked] = [new Set<string>(), new Set<string>()];
    for (;;) {
      const server = connection.servers().find(({ where }) => !walked.has(where));
      if (server === undefined) return;
      walked.add(server.where);
      const send = (command: RedisCommand) => server.send(command).catch(this.failed);
      for await (const keys of keysWithPrefix(send, stored + idPrefix, seen)) {
        yield keys.map((key) => key.slice(stored.length));
      }
    }
  }

  private async view(id: string, state: string, minAgeMs: number): Promise<RecordView | undefined> {
    const [code, now, expiresInMs, bytes] = await this.run('view', id, [state, String(minAgeMs)]);
    if (code === undefined) return undefined;
    return new RedisRecord(bytes as Buffer).view(id, Number(now), Number(expiresInMs));
  }

  private async change(
    name: ScriptName,
    claim: Claim,
    args: readonly RedisArgument[],
  ): Promise<OwnerOutcome> {
    const [code] = await this.run(name, claim.id, [claim.ownerToken, ...args]);
    return code === CODE.applied ? 'applied' : 'lease_lost';
  }

  /** The script's answer, empty when it is nil. @throws RecordUnreadableError when the key holds no record of ours */
  private async run(
    name: ScriptName,
    id: string,
    args: readonly RedisArgument[],
  ): Promise<readonly unknown[]> {
    const { connection } = this;
    const key = connection.keyPrefix.sent + id;
    const isChange = name === 'view' ? undefined : isOwnChange;
    const send = (command: RedisCommand) => connection.send(command, key, isChange);
    const answer = (await runScript(send, this.scripts[name], key, args).catch(this.failed)) as
      readonly unknown[] | null;
    refuseQueued(connection.where, answer);
    if (answer?.[0] === CODE.unreadable) throw unreadable(Number(answer[1]), answer[2] as Buffer);
    return answer ?? [];
  }

  private readonly failed = (error: unknown): never => {
    throw asStorageError(this.connection.where, error);
  };
}

/** What a caller builds upon, so that it must not be lost: refusals may be. */
const BUILT_UPON: readonly unknown[] = [CODE.applied, CODE.claimedNew, CODE.claimed, CODE.completed];

function isOwnChange(answer: unknown): boolean {
  return BUILT_UPON.includes((answer as readonly unknown[] | null)?.[0]);
}

/** Of a transaction that the application has opened on the client, commands are answered by that, and run at its end or never. */
function refuseQueued(where: string, answer: unknown): void {
  if (Array.isArray(answer) || String(answer) !== 'QUEUED') return;
  throw new StorageUnavailableError(
    `${where} is in a transaction of the application (MULTI), so nothing is known of what was asked. Give the storage a client of its own.`,
  );
}

function wholeMs(ms: number): string {
  return String(Math.max(1, Math.ceil(ms)));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function bounded(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  throw new RangeError(
    `redisStorage: a text of more than ${maxBytes} bytes does not fit into a record: ${text.slice(0, 40)}…`,
  );
}
