import { expect } from '@jest/globals';
import { connect } from 'node:net';
import { once } from 'node:events';

interface Target {
  readonly url: string;
}

export interface Sending {
  readonly method?: string;
  /** Sent as `Idempotency-Key`. */
  readonly key?: string;
  /** An object goes as JSON; text and bytes as they are. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface Received {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body read as JSON; undefined when it is none. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests assert what it is
  readonly json: any;
}

export async function send(app: Target, path: string, sending: Sending = {}): Promise<Received> {
  const { method = 'POST', key, body, headers = {}, signal } = sending;
  const asIs = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
  const response = await fetch(app.url + path, {
    method,
    redirect: 'manual',
    headers: {
      ...(asIs ? {} : { 'Content-Type': 'application/json' }),
      ...(key === undefined ? {} : { 'Idempotency-Key': key }),
      ...headers,
    },
    ...(body === undefined
      ? {}
      : { body: asIs ? (body as string | Uint8Array<ArrayBuffer>) : JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: parsed(text) };
}

/** Sends the very bytes of a request and answers the very bytes of its response. */
export async function sendRaw(
  { url }: Target,
  head: readonly string[],
  body = '',
  host = 'test',
): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  const lines = [...head, `Host: ${host}`, 'Connection: close', `Content-Length: ${Buffer.byteLength(body)}`];
  socket.end(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), Buffer.from(body)]));
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  await once(socket, 'close');
  return Buffer.concat(chunks).toString('latin1');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Same status, same body, same kind of body; and it says that it is a replay. */
export function expectReplayOf(first: Received, second: Received): void {
  expect(first.headers.get('idempotent-replayed')).toBeNull();
  expect(second.headers.get('idempotent-replayed')).toBe('true');
  expect({ status: second.status, text: second.text }).toEqual({ status: first.status, text: first.text });
  for (const name of ['content-type', 'content-length', 'location']) {
    expect(second.headers.get(name)).toBe(first.headers.get(name));
  }
  expectHttpDate(second.headers.get('idempotency-expires'));
}

/** RFC 9457, with the members that clients may rely on. */
export function expectProblem(received: Received, status: number, code: string): void {
  expect({ status: received.status, code: received.json?.code }).toEqual({ status, code });
  expect(received.headers.get('content-type')).toMatch(/^application\/problem\+json\b/);
  expect(received.json).toEqual({
    type: expect.any(String),
    title: expect.any(String),
    status,
    detail: expect.stringMatching(/\.$/),
    code,
  });
}

export function expectHttpDate(value: string | null): void {
  expect(value).toMatch(/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/);
}

/** Whole seconds, at least 1. */
export function retryAfter(received: Received): number {
  const value = received.headers.get('retry-after') ?? '';
  expect(value).toMatch(/^[1-9]\d*$/);
  return Number(value);
}
