import { RecordUnreadableError } from '../core/errors.js';
import type { PreviousClaim, RecordView, Steps } from '../core/idempotency-storage.js';
import { LAYOUT, PREVIOUS, STATE } from './scripts/record.lua.js';

/** One record's string, read where it lies. The layout is described at `LAYOUT`. */
export class RedisRecord {
  readonly state: number;
  readonly attempt: number;
  readonly previous: PreviousClaim;
  readonly firstClaimedAt: number;
  readonly leaseUntil: number;
  private readonly bytes: Buffer;
  private readonly fingerprintAt: number;
  private readonly stepsAt: number;
  private readonly resultAt: number;

  /** Takes what a script answered: the scripts give no bytes out whose head and lengths do not fit. */
  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.state = bytes.readUInt8(4);
    this.previous = PREVIOUS[bytes.readUInt8(5)] as PreviousClaim;
    this.attempt = bytes.readUInt32BE(6);
    this.firstClaimedAt = bytes.readUIntBE(10, 6);
    this.leaseUntil = bytes.readUIntBE(16, 6);
    this.fingerprintAt = LAYOUT.headBytes + bytes.readUInt8(40) + bytes.readUInt8(41);
    this.stepsAt = this.fingerprintAt + bytes.readUInt8(42);
    this.resultAt = this.stepsAt + bytes.readUInt32BE(32);
  }

  get fingerprint(): string {
    return this.bytes.toString('utf8', this.fingerprintAt, this.stepsAt);
  }

  get result(): Uint8Array {
    return plainView(this.bytes.subarray(this.resultAt));
  }

  /** A later entry of the same name replaces the value and keeps the place of the earlier one, as `Map.set` does. */
  get steps(): Steps {
    const steps = new Map<string, Uint8Array>();
    const log = this.bytes.subarray(this.stepsAt, this.resultAt);
    for (let at = 0; at < log.length;) {
      const nameAt = at + 6;
      const valueAt = nameAt <= log.length ? nameAt + log.readUInt16BE(at) : Infinity;
      const end = valueAt <= log.length ? valueAt + log.readUInt32BE(at + 2) : Infinity;
      if (end > log.length) throw new RecordUnreadableError('its steps are cut short');
      steps.set(log.toString('utf8', nameAt, valueAt), plainView(log.subarray(valueAt, end)));
      at = end;
    }
    return steps;
  }

  view(id: string, serverNowMs: number, expiresInMs: number): RecordView {
    const { fingerprint, attempt, steps } = this;
    const completed = this.state === STATE.completed;
    return {
      id,
      state: completed ? 'completed' : 'in_progress',
      fingerprint,
      attempt,
      leaseRemainingMs: completed ? 0 : Math.max(0, this.leaseUntil - serverNowMs),
      released: this.state === STATE.released,
      expiresInMs: Math.max(0, expiresInMs),
      ageMs: Math.max(0, serverNowMs - this.firstClaimedAt),
      steps,
      ...(completed ? { result: this.result } : {}),
    };
  }
}

/** What to say of a string that is not a record of this layout, from its length and its first bytes. */
export function unreadable(length: number, start: Buffer): RecordUnreadableError {
  const name = start.toString('latin1');
  if (!name.startsWith(LAYOUT.name) || name.length !== LAYOUT.name.length + LAYOUT.version.length) {
    return new RecordUnreadableError(`the Redis key holds ${length} bytes that this library did not write`);
  }
  const version = name.slice(LAYOUT.name.length);
  if (version === LAYOUT.version) {
    return new RecordUnreadableError(`the ${length} bytes under its Redis key were cut short or changed`);
  }
  return new RecordUnreadableError(
    `it has layout ${JSON.stringify(version)}, this version of the library reads layout ${LAYOUT.version}`,
  );
}

/** The same bytes without Buffer's methods, which differ from those of a Uint8Array (`slice` does not copy). */
function plainView(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
