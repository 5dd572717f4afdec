import { durationMs, inWords, PLAIN_NUMBER_LIMIT_S, type Duration } from '../core/duration.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { LocalCacheTerms } from '../core/local-caches.js';

/** Completed records in the memory of this process, so that their replays ask no storage. */
export interface LocalCacheOptions {
  /**
   * Most bytes that all entries of this cache hold together: record id, fingerprint, what is stored, and 512 for each. The
   * least recently used leave first.
   */
  readonly maxBytes: number;
  /**
   * How long an entry is answered without asking the storage, at most for as long as its record is kept. It is the price:
   * what another process removes or decides is still answered here for so long. At most 1 hour.
   *
   * @default '10s'
   */
  readonly ttl?: Duration;
}

/** Every default, once. The table in docs/codecs.md is held to it by a test. */
export const LOCAL_CACHE_DEFAULTS = { ttl: '10s' } as const;
const LONGEST_TTL_MS = 3_600_000;

const made = new WeakMap<object, LocalCacheTerms>();

/** The same object gives the same terms, and so the same cache. @throws InvalidOptionsError */
export function localCacheOf(option: LocalCacheOptions | false | undefined): LocalCacheTerms | undefined {
  if (option === undefined || option === false) return undefined;
  if (typeof option !== 'object' || (option as unknown) === null || Array.isArray(option)) {
    throw new InvalidOptionsError("`localCache` must be { maxBytes, ttl: '10s' }, or false for none.");
  }
  const unknown = Object.keys(option).find((name) => name !== 'maxBytes' && name !== 'ttl');
  if (unknown !== undefined) {
    throw new InvalidOptionsError(
      `\`localCache.${unknown}\` is not an option. Known are \`maxBytes\` and \`ttl\`.`,
    );
  }
  const { maxBytes, ttl } = option;
  if (!Number.isSafeInteger(maxBytes) || maxBytes < 1) {
    throw new InvalidOptionsError(
      `\`localCache.maxBytes\` is ${typeof maxBytes === 'number' ? maxBytes : `of type ${typeof maxBytes}`}; it must be a whole number of bytes, 1 or more, such as 16_777_216.`,
    );
  }
  const ttlMs = durationMs(
    'localCache.ttl',
    ttl ?? LOCAL_CACHE_DEFAULTS.ttl,
    PLAIN_NUMBER_LIMIT_S.localCacheTtl,
  );
  if (ttlMs > LONGEST_TTL_MS) {
    throw new InvalidOptionsError(
      `\`localCache.ttl\` is ${inWords(ttlMs)}: for so long this process would not see that another one has removed a record. Write at most '1h'; seconds are usual.`,
    );
  }
  const terms = made.get(option) ?? { maxBytes, ttlMs };
  made.set(option, terms);
  return terms;
}
