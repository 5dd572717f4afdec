import { expect } from '@jest/globals';
import type { Trial } from './kind.js';
import type { Received } from './http-client.js';

/** They say something about one exchange alone. `idempotency-expires` is compared by itself: it counts whole seconds. */
const OF_THE_EXCHANGE = new Set([
  'date',
  'connection',
  'keep-alive',
  'set-cookie',
  'idempotent-replayed',
  'idempotency-expires',
]);
const OF_CORS = 'access-control-';

/** They follow from what was negotiated, so they differ when something else was. */
const NEGOTIATED = new Set(['content-encoding', 'content-length', 'transfer-encoding', 'vary']);

/** Clocks are read twice, and an HTTP date has whole seconds. */
const EXPIRY_SLACK_MS = 2_000;

type Line = readonly [name: string, value: string];

function comparable({ headers }: Received, isLeftOut: (name: string) => boolean): Line[] {
  const lines = headers.filter(([name]) => !isLeftOut(name));
  // The order of values counts, that of names does not.
  return lines.toSorted(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
}

const lineOf = ({ status, reason }: Received) => ({ status, reason });
const belongsToExchange = (name: string) => OF_THE_EXCHANGE.has(name) || name.startsWith(OF_CORS);

/** The first answer with a key is the very answer of the unprotected route, and says until when it is kept. */
export function expectUntouched(bare: Received, first: Received): void {
  expect([first.informed, first.trailers]).toEqual([bare.informed, bare.trailers]);
  const isOurs = (name: string) => name === 'date' || name === 'idempotency-expires';
  expect({ ...lineOf(first), headers: comparable(first, isOurs), body: text(first) }).toEqual({
    ...lineOf(bare),
    headers: comparable(bare, isOurs),
    body: text(bare),
  });
  expect(first.body.equals(bare.body)).toBe(true);
}

/** The same answer, whether or not it is marked as replayed or kept. */
export function expectSameAnswer(bare: Received, other: Received, leftOut: readonly string[] = []): void {
  const isLeftOut = (name: string) => belongsToExchange(name) || leftOut.includes(name);
  expect({ ...lineOf(other), headers: comparable(other, isLeftOut), body: text(other) }).toEqual({
    ...lineOf(bare),
    headers: comparable(bare, isLeftOut),
    body: text(bare),
  });
}

export interface ReplayTerms {
  /** The client accepts another encoding than the first did, so the bytes travel in another way. */
  readonly negotiatedAnew?: boolean;
  /** More headers that belong to the first answer alone. */
  readonly leftOut?: readonly string[];
}

export function expectReplayOf(first: Received, replay: Received, terms: ReplayTerms = {}): void {
  const { negotiatedAnew = false, leftOut = [] } = terms;
  expect([replay.informed, replay.trailers]).toEqual([[], first.trailers]);
  for (const name of leftOut) expect([name, replay.header(name)]).toEqual([name, undefined]);
  const isLeftOut = (name: string) =>
    belongsToExchange(name) || leftOut.includes(name) || (negotiatedAnew && NEGOTIATED.has(name));
  expect({ ...lineOf(replay), headers: comparable(replay, isLeftOut), body: text(replay) }).toEqual({
    ...lineOf(first),
    headers: comparable(first, isLeftOut),
    body: text(first),
  });
  expect(replay.body.equals(first.body)).toBe(true);
  expect(replay.header('idempotent-replayed')).toBe('true');
  expect(replay.header('set-cookie')).toBeUndefined();
  expectSameExpiry(first, replay);
}

/** It came from the handler and nothing is kept of it. */
export function expectNotKept(received: Received): void {
  expect(received.header('idempotent-replayed')).toBeUndefined();
  expect(received.header('idempotency-expires')).toBeUndefined();
}

/** It came from the handler, and is kept. */
export function expectKept(received: Received): void {
  expect(received.header('idempotent-replayed')).toBeUndefined();
  expect(received.header('idempotency-expires')).toBeDefined();
}

/** A refusal by the library itself. */
export function expectProblem(received: Received, status: number, code: string): void {
  expect([received.status, received.header('content-type')]).toEqual([
    status,
    expect.stringMatching(/^application\/problem\+json/),
  ]);
  expect(JSON.parse(text(received))).toMatchObject({ status, code });
}

/** What the kind says about its answer. */
export function expectAnswerOf({ kind, platform, http2 }: Trial, received: Received): void {
  const status = typeof kind.status === 'number' ? kind.status : kind.status[platform];
  expect([received.status, text(received)]).toEqual([
    status,
    kind.answers instanceof RegExp
      ? expect.stringMatching(kind.answers)
      : (kind.answers ?? expect.any(String)),
  ]);
  expect([received.informed, Object.fromEntries(received.trailers)]).toEqual([
    kind.informs ?? [],
    kind.trailers ?? {},
  ]);
  for (const [name, value] of Object.entries(kind.has ?? {})) {
    // HTTP/2 frames every body by itself.
    if (http2 && name === 'transfer-encoding') continue;
    const found = received.header(name);
    if (value instanceof RegExp) expect([name, found]).toEqual([name, expect.stringMatching(value)]);
    else expect([name, found]).toEqual([name, value]);
  }
}

function expectSameExpiry(first: Received, replay: Received): void {
  const [one, other] = [first, replay].map((received) =>
    Date.parse(received.header('idempotency-expires') ?? ''),
  );
  expect(one).toBeGreaterThan(Date.now());
  expect(Math.abs((one ?? NaN) - (other ?? NaN))).toBeLessThan(EXPIRY_SLACK_MS);
}

function text({ body }: Received): string {
  return body.toString('utf8');
}
