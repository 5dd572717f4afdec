import type { ClaimOutcome } from './idempotency-storage.js';
import { LocalCache } from './local-cache.js';
import type { Clock } from './ports.js';

/** Which records are cached together, and how. Requests with the same object share one cache. */
export interface LocalCacheTerms {
  readonly maxBytes: number;
  readonly ttlMs: number;
}

type Completed = Extract<ClaimOutcome, { kind: 'completed' }>;

/** When something was asked of the storage. */
export interface Asked {
  /** By the monotonic clock. */
  readonly at: number;
  readonly epoch: number;
}

/** The caches of one process. */
export class LocalCaches {
  private readonly caches = new Map<LocalCacheTerms, LocalCache>();
  private epoch = 0;

  constructor(private readonly clock: Clock) {}

  /** Take it before the storage is asked for what is `put` then. */
  asked(): Asked {
    return { at: this.clock.monotonicMs(), epoch: this.epoch };
  }

  /** The record as the storage would answer it. Its bytes are the cache's own: nobody may write into them. */
  get(terms: LocalCacheTerms | undefined, id: string): Completed | undefined {
    const found = terms && this.caches.get(terms)?.get(id);
    if (found === undefined) return undefined;
    const { fingerprint, result, endsAt } = found;
    return { kind: 'completed', fingerprint, result, expiresInMs: endsAt - this.clock.monotonicMs() };
  }

  /** Does nothing when a record was removed since the storage was asked: it may have been this one. */
  put(
    terms: LocalCacheTerms | undefined,
    id: string,
    asked: Asked,
    completed: Omit<Completed, 'kind'>,
  ): void {
    if (terms === undefined || asked.epoch !== this.epoch) return;
    const { fingerprint, result, expiresInMs } = completed;
    let cache = this.caches.get(terms);
    if (cache === undefined) {
      cache = new LocalCache(terms.maxBytes, terms.ttlMs, this.clock);
      this.caches.set(terms, cache);
    }
    cache.put(id, { fingerprint, result, endsAt: asked.at + expiresInMs, askedAt: asked.at });
  }

  /** The record is another one now: somebody runs. */
  drop(id: string): void {
    for (const cache of this.caches.values()) cache.drop(id);
  }

  /** The record was removed by hand: what the storage said before that is not to be kept either. */
  forget(id: string): void {
    this.epoch += 1;
    this.drop(id);
  }
}
