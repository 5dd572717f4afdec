import { within } from './bounded.js';
import { isLater, RESULT_PART, type Codec, type CodecContext } from './codec.js';
import { RecordUnreadableError, StorageUnavailableError } from './errors.js';
import type { Timers } from './ports.js';
import { encodeResult } from './result.js';

/** How long a call of a codec may take, and whose timers count it. */
export interface CodecBound {
  readonly timers: Timers;
  readonly ms: number;
}

/**
 * The result of a run whose own one could not be encoded: it happened, and nothing more is known. It is the only thing that
 * is stored and read past a codec. Whoever forges it denies an answer, as whoever can write to the storage could anyway.
 */
export const LOST_RESULT = encodeResult({ kind: 'bodyless', meta: {}, body: new Uint8Array(0) });

/** @throws what the codec throws, or StorageUnavailableError when it does not answer in time */
export async function encoded(
  codec: Codec,
  bytes: Uint8Array,
  context: CodecContext,
  bound: CodecBound,
): Promise<Uint8Array> {
  return bounded(codec, bound, () => codec.encode(bytes, context));
}

/** @throws RecordUnreadableError, or StorageUnavailableError when it cannot be told now */
export async function decoded(
  codec: Codec,
  bytes: Uint8Array,
  context: CodecContext,
  bound: CodecBound,
): Promise<Uint8Array> {
  if (context.part === RESULT_PART && Buffer.compare(bytes, LOST_RESULT) === 0) return bytes;
  try {
    return await bounded(codec, bound, () => codec.decode(bytes, context));
  } catch (error) {
    if (error instanceof RecordUnreadableError || error instanceof StorageUnavailableError) throw error;
    // Without its message: a parser's would quote what it could not read.
    throw new RecordUnreadableError(`its codec \`${codec.name}\` does not decode it`, { cause: error });
  }
}

async function bounded(
  { name }: Codec,
  { timers, ms }: CodecBound,
  call: () => Uint8Array | Promise<Uint8Array>,
): Promise<Uint8Array> {
  let bytes: Uint8Array | Promise<Uint8Array> = call();
  // No timer for a codec that answers at once.
  if (isLater(bytes)) {
    const answer = await within(timers, ms, Promise.resolve(bytes));
    if (answer.kind === 'failed') throw answer.error;
    if (answer.kind === 'timeout')
      throw new StorageUnavailableError(`the codec \`${name}\` did not answer within ${ms} ms`);
    bytes = answer.value;
  }
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`the codec \`${name}\` answered what is no Uint8Array`);
  return bytes;
}
