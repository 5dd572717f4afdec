import { request, type Agent, type IncomingMessage } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';

export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
}

/** An answer as it came over the wire. */
export interface Received {
  readonly status: number;
  readonly reason: string;
  /** Names in lower case, in the order in which they came; one pair per line of the head. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** `undefined` when there is none, joined by `, ` when there are several. */
  header(name: string): string | undefined;
  /** The body without its content encoding. */
  readonly body: Buffer;
}

/** Sends one request and waits for the whole answer. */
export function send(origin: string, agent: Agent, sent: Sent): Promise<Received> {
  return new Promise((resolve, reject) => {
    const outgoing = open(origin, agent, sent);
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => resolve(received(response, Buffer.concat(chunks))));
    });
  });
}

/** Sends one request, and gives the function by which the client leaves without waiting for the answer. */
export function sendAndLeave(origin: string, agent: Agent, sent: Sent): () => void {
  const outgoing = open(origin, agent, sent);
  outgoing.once('error', () => {});
  return () => outgoing.destroy();
}

function open(origin: string, agent: Agent, { method, path, headers = {}, body }: Sent) {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const described: Record<string, string> =
    payload === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) };
  const outgoing = request(new URL(path, origin), { agent, method, headers: { ...described, ...headers } });
  outgoing.end(payload);
  return outgoing;
}

function received(response: IncomingMessage, bytes: Buffer): Received {
  const { rawHeaders, statusCode = 0, statusMessage = '' } = response;
  const headers: [string, string][] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    headers.push([rawHeaders[index]?.toLowerCase() ?? '', rawHeaders[index + 1] ?? '']);
  }
  const header = (name: string) => {
    const values = headers.filter(([found]) => found === name).map(([, value]) => value);
    return values.length === 0 ? undefined : values.join(', ');
  };
  return {
    status: statusCode,
    reason: statusMessage,
    headers,
    header,
    body: decode(bytes, header('content-encoding')),
  };
}

function decode(bytes: Buffer, encoding: string | undefined): Buffer {
  if (bytes.length === 0) return bytes;
  if (encoding === 'gzip') return gunzipSync(bytes);
  if (encoding === 'br') return brotliDecompressSync(bytes);
  return bytes;
}
