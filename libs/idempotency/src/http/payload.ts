import { Readable } from 'node:stream';

/** The few things of a `Response` of fetch that we use. */
interface WebResponse {
  readonly status: number;
  readonly headers: Iterable<[string, string]>;
  readonly body: unknown;
}

/** Whether it is a `Response` of fetch, whoever made its class. */
export function isWebResponse(payload: unknown): payload is WebResponse {
  return Object.prototype.toString.call(payload) === '[object Response]';
}

/** A payload that comes bit by bit, as a node stream; undefined for others. */
export function readableOf(payload: unknown): Readable | undefined {
  if (typeof payload !== 'object' || payload === null || payload instanceof Uint8Array) return undefined;
  if (payload instanceof Readable) return payload;
  if (typeof (payload as { pipe?: unknown }).pipe === 'function')
    return new Readable().wrap(payload as Readable);
  if (typeof (payload as { getReader?: unknown }).getReader === 'function')
    return Readable.fromWeb(payload as never);
  return undefined;
}

/** The bytes of a payload that is there at once; undefined when it cannot be sent like that. */
export function bytesOf(payload: unknown): Buffer | undefined {
  if (payload === null || payload === undefined) return Buffer.alloc(0);
  if (typeof payload === 'string') return Buffer.from(payload);
  if (payload instanceof Uint8Array)
    return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  return undefined;
}

export function readableOfPieces(body: Buffer): Readable {
  return Readable.from(body.length === 0 ? [] : [body], { objectMode: false });
}

/** What was read from a stream already, then the rest of it. Ends the stream when nobody wants the rest. */
export function resumed(held: readonly Buffer[], rest: AsyncIterator<unknown>): Readable {
  return Readable.from(pieces(held, rest), { objectMode: false });
}

async function* pieces(held: readonly Buffer[], rest: AsyncIterator<unknown>): AsyncGenerator<unknown> {
  try {
    yield* held;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
