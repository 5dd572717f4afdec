/** What is encoded: whose it is, and which part of the record. A codec may bind its output to both. */
export interface CodecContext {
  readonly recordId: string;
  /** `result`, or `step:` and the name of the step. */
  readonly part: string;
}

/**
 * Changes what a storage keeps of a record: its result, and the results of its steps. Ids, names of steps,
 * fingerprints and times stay as they are, because storages work with them.
 *
 * Either method may return a promise (a key service, a thread); each call is bounded by `storageTimeout`.
 */
export interface Codec {
  /** For logs and boot errors, for example `gzip`. */
  readonly name: string;

  /** What is stored in the place of `bytes`. When it fails, a result is kept without its body, and a step is not saved. */
  encode(bytes: Uint8Array, context: CodecContext): Uint8Array | Promise<Uint8Array>;

  /**
   * What `encode` was given.
   *
   * @throws StorageUnavailableError when it cannot tell now: the request is refused with 503. Anything else that is thrown
   *   means that the bytes are not what `encode` made for this record and part (`record-unreadable`). Nothing runs again
   *   in either case.
   */
  decode(bytes: Uint8Array, context: CodecContext): Uint8Array | Promise<Uint8Array>;
}

export const RESULT_PART = 'result';

export function stepPart(name: string): string {
  return `step:${name}`;
}

/** Several codecs as one: from left to right on writing, from right to left on reading. */
export function composedCodec(codecs: readonly Codec[]): Codec | undefined {
  if (codecs.length <= 1) return codecs[0];
  return {
    name: codecs.map(({ name }) => name).join('+'),
    encode: (bytes, context) => through(codecs, 'encode', bytes, context),
    decode: (bytes, context) => through(codecs.toReversed(), 'decode', bytes, context),
  };
}

/** Stays synchronous as long as the codecs do: a promise per record is not free. */
function through(
  [codec, ...more]: readonly Codec[],
  way: 'encode' | 'decode',
  bytes: Uint8Array,
  context: CodecContext,
): Uint8Array | Promise<Uint8Array> {
  if (codec === undefined) return bytes;
  const next = codec[way](bytes, context);
  return isLater(next)
    ? next.then((made) => through(more, way, made, context))
    : through(more, way, next, context);
}

/** By what it can do: promises of other libraries, and of other realms, are no instances of ours. */
export function isLater<T extends object>(answer: T | Promise<T>): answer is Promise<T> {
  return typeof (answer as Partial<Promise<T>> | undefined)?.then === 'function';
}
