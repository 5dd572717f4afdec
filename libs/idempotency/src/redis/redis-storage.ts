import { InvalidOptionsError, RecordUnreadableError } from '../core/errors.js';
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
import { evictionWarning } from './eviction.js';
import type { RedisArgument, RedisCommand } from './redis-client.js';
import { beforeDeadline, type RedisConnection } from './redis-connection.js';
import { asStorageError, asUnreachable } from './redis-errors.js';
import { RedisRecord, unreadable } from './redis-record.js';
import { keysWithPrefix } from './scan.js';
import { runScript } from './script-runner.js';
import { REDIS_SCRIPTS, type RedisScripts, type ScriptName } from './scripts/index.js';
import { CODE } from './scripts/record.lua.js';

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
      await beforeDeadline(this.prepare(host), connection.where, () => 'it does not answer');
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
    return (await this.send(['DEL', id])) === 1;
  }

  /** Keys that hold no record are passed over: a Redis may hold other things beside. */
  async *find({ idPrefix, state, minAgeMs }: RecordQuery): AsyncIterable<RecordView> {
    const read = (id: string) =>
      this.view(id, state ?? '', minAgeMs ?? 0).catch((error: unknown) => {
        if (error instanceof RecordUnreadableError) return undefined;
        throw error;
      });
    for await (const ids of keysWithPrefix((command) => this.send(command), idPrefix)) {
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

  private async prepare(host: StorageHost | undefined): Promise<void> {
    const loads = Object.values(this.scripts).map(({ source }) => this.send(['SCRIPT', 'LOAD', source]));
    const info = this.send(['INFO', 'memory']).then(String, () => '');
    for (const sha1 of await Promise.all(loads)) {
      if (!Buffer.isBuffer(sha1)) {
        throw new InvalidOptionsError(
          'redisStorage: the `client` handed in does not give bytes back, so results would be corrupted. Use the package `redis` 5 or 6.',
        );
      }
    }
    const warning = evictionWarning(await info);
    if (warning !== undefined) host?.warn(warning);
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
    const send = (command: RedisCommand) => this.connection.send(command);
    const answer = (await runScript(send, this.scripts[name], id, args).catch((error: unknown) => {
      throw asStorageError(this.connection.where, error);
    })) as readonly unknown[] | null;
    if (answer?.[0] === CODE.unreadable) throw unreadable(Number(answer[1]), answer[2] as Buffer);
    return answer ?? [];
  }

  private send(command: RedisCommand): Promise<unknown> {
    return this.connection.send(command).catch((error: unknown) => {
      throw asStorageError(this.connection.where, error);
    });
  }
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
