import type { ClaimOutcome } from './idempotency-storage.js';
import { RecordUnreadableError, StorageUnavailableError } from './errors.js';
import type { BeginOutcome, BeginRequest } from './idempotency-engine.js';
import type { Asked, LocalCaches } from './local-caches.js';
import type { Clock } from './ports.js';
import { RecordCodec } from './record-codec.js';
import { decodeResult } from './result.js';
import type { TimerScope } from './timer-scope.js';

type Completed = Omit<Extract<ClaimOutcome, { kind: 'completed' }>, 'kind'>;

/** Answers from completed records: fingerprint first, then through the codec, and from memory where that is allowed. */
export class RecordedAnswers {
  constructor(
    private readonly caches: LocalCaches,
    private readonly clock: Clock,
    private readonly timers: TimerScope,
  ) {}

  /** What the storage answered lately; undefined when it has to be asked. */
  async fromCache(request: BeginRequest): Promise<BeginOutcome | undefined> {
    const cached = this.caches.get(request.localCache, request.id);
    return cached && this.answer(request, cached);
  }

  /** What the storage answers now. */
  async fromStorage(request: BeginRequest, asked: Asked, completed: Completed): Promise<BeginOutcome> {
    if (completed.fingerprint === request.fingerprint) {
      this.caches.put(request.localCache, request.id, asked, completed);
    }
    return this.answer(request, completed);
  }

  private async answer(request: BeginRequest, completed: Completed): Promise<BeginOutcome> {
    const { id, codec, storageTimeoutMs } = request;
    if (completed.fingerprint !== request.fingerprint) return { kind: 'reused' };
    const startedAt = this.clock.monotonicMs();
    const record = new RecordCodec(id, codec, { timers: this.timers, ms: storageTimeoutMs });
    try {
      // A copy: a cache and those who share one answer have the same bytes, and codecs, hooks and interceptors may write into them.
      const plain = await record.decodeResult(new Uint8Array(completed.result));
      const expiresInMs = completed.expiresInMs - (this.clock.monotonicMs() - startedAt);
      return replayOf(plain, Math.max(0, expiresInMs));
    } catch (error) {
      // Asked for anew each time: somebody may have mended it.
      this.caches.drop(id);
      return unreadable(error);
    }
  }
}

/** @throws RecordUnreadableError */
export function replayOf(plain: Uint8Array, expiresInMs: number): BeginOutcome {
  return { kind: 'replay', result: decodeResult(plain), expiresInMs };
}

/** Something has happened for this key, whatever has been thrown: nobody may run. */
export function unreadable(error: unknown): BeginOutcome {
  const isTold = error instanceof RecordUnreadableError || error instanceof StorageUnavailableError;
  const told = isTold ? error : new RecordUnreadableError('its codec failed', { cause: error });
  return { kind: 'unreadable', error: told };
}
