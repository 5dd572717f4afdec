import type { RecordCodec } from './record-codec.js';
import type { StoredResult } from './result.js';
import type { RunEnd, RunTerms, RunTools } from './run-terms.js';

/** An outcome as it is stored. */
export interface EncodedOutcome {
  readonly stored: Uint8Array;
  /** What this process knows once it is stored. */
  readonly applied: () => RunEnd;
}

interface Parts {
  readonly codec: RecordCodec;
  readonly terms: Pick<RunTerms, 'claim' | 'fingerprint' | 'localCache' | 'correlationId'>;
  readonly tools: Pick<RunTools, 'clock' | 'caches'>;
  /** Told why it is stored without its body. */
  readonly failed: (error: unknown) => void;
}

export async function encodedOutcome(
  result: StoredResult,
  ttlMs: number,
  { codec, terms, tools, failed }: Parts,
): Promise<EncodedOutcome> {
  const { clock, caches } = tools;
  const { claim, fingerprint, localCache, correlationId } = terms;
  const { plain, stored } = await codec.encodeResult(traced(result, correlationId), failed);
  const asked = caches.asked();
  const applied = (): RunEnd => {
    caches.put(localCache, claim.id, asked, { fingerprint, result: stored, expiresInMs: ttlMs });
    return { kind: 'recorded', result: plain, expiresAtMonotonicMs: clock.monotonicMs() + ttlMs };
  };
  return { stored, applied };
}

/** Whoever looks at the record later finds what else came of the request. */
function traced(result: StoredResult, correlationId: string | undefined): StoredResult {
  return correlationId === undefined ? result : { ...result, meta: { ...result.meta, correlationId } };
}
