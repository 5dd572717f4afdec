import { decoded, encoded, LOST_RESULT, type CodecBound } from './codec-calls.js';
import { RESULT_PART, stepPart, type Codec } from './codec.js';
import type { Steps } from './idempotency-storage.js';
import { encodeResult, type StoredResult } from './result.js';

/** A result before and after the codec. */
export interface EncodedResult {
  readonly plain: Uint8Array;
  readonly stored: Uint8Array;
}

/** The codec of one record, or none. Every call is bounded. */
export class RecordCodec {
  constructor(
    private readonly recordId: string,
    private readonly codec: Codec | undefined,
    private readonly bound: CodecBound,
  ) {}

  /** Never rejects for what a codec does: the effect has happened, so then the outcome is kept without its body. */
  async encodeResult(result: StoredResult, onFailure: (error: unknown) => void): Promise<EncodedResult> {
    const plain = encodeResult(result);
    if (this.codec === undefined) return { plain, stored: plain };
    try {
      const context = { recordId: this.recordId, part: RESULT_PART };
      // A copy: those who wait get the plain one, and a codec may work where the bytes are.
      return { plain, stored: await encoded(this.codec, new Uint8Array(plain), context, this.bound) };
    } catch (error) {
      onFailure(error);
      return { plain: LOST_RESULT, stored: LOST_RESULT };
    }
  }

  /** @throws what the codec throws, or StorageUnavailableError when it does not answer in time */
  async encodeStep(name: string, value: Uint8Array): Promise<Uint8Array> {
    if (this.codec === undefined) return value;
    return encoded(this.codec, value, { recordId: this.recordId, part: stepPart(name) }, this.bound);
  }

  /** @throws RecordUnreadableError, or StorageUnavailableError when it cannot be told now */
  async decodeResult(stored: Uint8Array): Promise<Uint8Array> {
    if (this.codec === undefined) return stored;
    return decoded(this.codec, stored, { recordId: this.recordId, part: RESULT_PART }, this.bound);
  }

  /** @throws RecordUnreadableError, or StorageUnavailableError when it cannot be told now */
  async decodeSteps(steps: Steps): Promise<Steps> {
    const { codec, recordId, bound } = this;
    if (codec === undefined || steps.size === 0) return steps;
    const decode = async ([name, value]: readonly [string, Uint8Array]) =>
      [name, await decoded(codec, value, { recordId, part: stepPart(name) }, bound)] as const;
    return new Map(await Promise.all([...steps].map(decode)));
  }
}
