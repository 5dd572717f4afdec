import { Agent, request, type IncomingMessage } from 'node:http';
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
  /** What came after the body. */
  readonly trailers: Received['headers'];
  /** Statuses of the informational responses that came before this one. */
  readonly informed: readonly number[];
  /** The body without its content encoding. */
  readonly body: Buffer;
}

/** Who sends: over connections that are kept, or one session. */
export interface Client {
  /** Sends one request and waits for the whole answer. */
  send(sent: Sent): Promise<Received>;
  /** Sends one request, and gives the function by which the client leaves without waiting for the answer. */
  sendAndLeave(sent: Sent): () => void;
  close(): void;
}

export function http1Client(origin: string): Client {
  const agent = new Agent({ keepAlive: true });
  return {
    send: (sent) => send(origin, agent, sent),
    sendAndLeave: (sent) => {
      const outgoing = open(origin, agent, sent);
      outgoing.once('error', () => {});
      return () => outgoing.destroy();
    },
    close: () => agent.destroy(),
  };
}

/** Sends one request and waits for the whole answer. */
export function send(origin: string, agent: Agent, sent: Sent): Promise<Received> {
  return new Promise((resolve, reject) => {
    const outgoing = open(origin, agent, sent);
    const informed: number[] = [];
    outgoing.once('error', reject);
    outgoing.on('information', ({ statusCode }) => informed.push(statusCode));
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => resolve(received(response, Buffer.concat(chunks), informed)));
    });
  });
}

function open(origin: string, agent: Agent, { method, path, headers = {}, body }: Sent) {
  const { payload, described } = jsonOf(body);
  const outgoing = request(new URL(path, origin), { agent, method, headers: { ...described, ...headers } });
  outgoing.end(payload);
  return outgoing;
}

/** A body as it is sent, and what is said about it. */
export function jsonOf(body: unknown): { payload?: string; described: Record<string, string> } {
  if (body === undefined) return { described: {} };
  const payload = JSON.stringify(body);
  const length = String(Buffer.byteLength(payload));
  return { payload, described: { 'content-type': 'application/json', 'content-length': length } };
}

function received(response: IncomingMessage, bytes: Buffer, informed: readonly number[]): Received {
  const { rawHeaders, rawTrailers, statusCode: status = 0, statusMessage: reason = '' } = response;
  const [headers, trailers] = [pairsOf(rawHeaders), pairsOf(rawTrailers)];
  return receivedFrom({ status, reason, headers, trailers, informed }, bytes);
}

function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index < raw.length; index += 2) {
    pairs.push([raw[index]?.toLowerCase() ?? '', raw[index + 1] ?? '']);
  }
  return pairs;
}

export function receivedFrom(came: Omit<Received, 'header' | 'body'>, bytes: Buffer): Received {
  const header = (name: string) => {
    const values = came.headers.filter(([found]) => found === name).map(([, value]) => value);
    return values.length === 0 ? undefined : values.join(', ');
  };
  return { ...came, header, body: decode(bytes, header('content-encoding')) };
}

function decode(bytes: Buffer, encoding: string | undefined): Buffer {
  if (bytes.length === 0) return bytes;
  if (encoding === 'gzip') return gunzipSync(bytes);
  if (encoding === 'br') return brotliDecompressSync(bytes);
  return bytes;
}
