import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  IdempotencyModule,
  IdempotencyService,
  memoryStorage,
  type IdempotencyStorage,
} from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { seededRandomness } from 'nestjs-idempotent/testing';
import { randomInt } from 'node:crypto';
import { getEventListeners, once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import type { Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { eventually } from '../http/support/eventually.js';
import { watchTimers } from '../http/support/timers.js';
import { platforms, startApp, type Platform, type RunningApp } from '../support/apps.js';
import { startRedis, type RedisServer } from '../support/redis-server.js';
import {
  departingController,
  departingKinds,
  type DepartingKind,
  type Runs,
  type Work,
} from './departing-clients.controller.js';
import { slowStorage } from './slow-storage.js';

/** `SEED=7 npm run jest -- departing-clients` plays one again; `ROUNDS=200` plays so many. */
const seed = Number(process.env['SEED'] ?? randomInt(2 ** 31));
const rounds = Number(process.env['ROUNDS'] ?? 1);

const CLIENTS = 100;
/** They come one after another, as a burst of a hundred connections would keep the server from getting anywhere. */
const COME_WITHIN_MS = 500;
/** Handlers and clients are about as fast as each other, so that some leave before, many meanwhile, few after. */
const AT_MOST_MS = 60;
const STORAGE_AT_MOST_MS = 20;

interface Client {
  readonly key: string;
  readonly kind: DepartingKind;
  readonly work: Work;
  readonly comesAfterMs: number;
  readonly leavesAfterMs: number;
}

interface Answer {
  readonly status: number;
  readonly replayed: boolean;
  readonly type: string | undefined;
  readonly body: string;
}

function clientsOf(roundSeed: number): Client[] {
  const { fraction, uuid } = seededRandomness(roundSeed);
  const upTo = (ms: number) => Math.floor(fraction() * (ms + 1));
  return Array.from({ length: CLIENTS }, (_, index) => ({
    key: uuid(),
    kind: departingKinds[index % departingKinds.length] as DepartingKind,
    work: { beforeMs: upTo(AT_MOST_MS), afterMs: upTo(AT_MOST_MS / 2) },
    comesAfterMs: upTo(COME_WITHIN_MS),
    leavesAfterMs: upTo(2 * AT_MOST_MS),
  }));
}

function open(url: string, { key, kind, work }: Client) {
  const outgoing = request(`${url}/work/${kind}`, {
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
  });
  outgoing.end(JSON.stringify(work));
  return outgoing;
}

/** Sends and breaks the connection at its moment. `true`: the answer was faster. */
async function sendAndLeave(url: string, client: Client): Promise<boolean> {
  await sleep(client.comesAfterMs);
  const outgoing = open(url, client);
  let heard = false;
  outgoing.on('error', () => {});
  outgoing.on('response', (response: IncomingMessage) => {
    response.on('error', () => {}).once('end', () => (heard = true));
    response.resume();
  });
  await sleep(client.leavesAfterMs);
  outgoing.destroy();
  return heard;
}

async function ask(url: string, client: Client): Promise<Answer> {
  const [response] = (await once(open(url, client), 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return {
    status: response.statusCode ?? 0,
    replayed: response.headers['idempotent-replayed'] === 'true',
    type: response.headers['content-type'],
    body: Buffer.concat(chunks).toString(),
  };
}

/** Asks as clients do who were told that the first one is still running. */
async function retry(url: string, client: Client): Promise<Answer> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    const answer = await ask(url, client);
    if (answer.status !== 409 || !answer.body.includes('key-in-progress')) return answer;
    await sleep(20);
  }
  throw new Error(`${client.kind} is in progress for ever`);
}

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const storages: Readonly<Record<'memory' | 'Redis', () => IdempotencyStorage>> = {
  memory: () => memoryStorage(),
  Redis: () => redisStorage({ url: redis.url }),
};

const STATUS: Partial<Record<DepartingKind, number>> = {
  refusal: 402,
  answers: 202,
  'answers-later': 202,
  'answers-and-works-on': 202,
};

describe.each(platforms)('100 clients that leave at random moments on %s', (platform: Platform) => {
  it.each(['memory', 'Redis'] as const)(
    'have each handler run once over %s, every retry gets its answer, and nothing is left behind',
    async (storageName) => {
      for (let round = 0; round < rounds; round += 1) {
        const roundSeed = seed + round;
        try {
          await play(platform, storages[storageName](), roundSeed);
        } catch (error) {
          throw new Error(`with SEED=${roundSeed}: ${(error as Error).message}`, { cause: error });
        }
      }
    },
    30_000 + rounds * 10_000,
  );
});

async function play(platform: Platform, storage: IdempotencyStorage, roundSeed: number): Promise<void> {
  const { fraction } = seededRandomness(roundSeed);
  const runs: Runs = { answers: new Map(), signals: new Set(), responses: new Set() };
  const timers = watchTimers();
  const app = await startApp(platform, {
    imports: [
      IdempotencyModule.forRoot({
        namespace: `departing-${roundSeed}-${platform}`,
        storage: slowStorage(storage, () => fraction() * STORAGE_AT_MOST_MS),
      }),
    ],
    controllers: [departingController(runs)],
  });
  try {
    const clients = clientsOf(roundSeed);
    const heard = await Promise.all(clients.map((client) => sendAndLeave(app.url, client)));
    const begun = runs.answers.size;
    await Promise.all(clients.map((client) => expectOneRun(app, client, runs)));
    say(
      `SEED=${roundSeed} ${platform} ${storage.name}: of ${CLIENTS} clients ${heard.filter(Boolean).length} stayed to the end,`,
      `${begun} handlers had begun by then; ${executions(runs)} executions for ${CLIENTS} keys`,
    );
    expect(executions(runs)).toBe(CLIENTS);
    await expectNothingLeft(app, runs, timers);
  } finally {
    await app.close();
    timers.stop();
  }
}

/** On one line: a world is played by its seed, and 200 of them are to be read. */
function say(...parts: string[]): void {
  process.stdout.write(`${parts.join(' ')}\n`);
}

const executions = ({ answers }: Runs): number =>
  [...answers.values()].reduce((sum, made) => sum + made.length, 0);

async function expectOneRun({ url }: RunningApp, client: Client, { answers }: Runs): Promise<void> {
  // Two at once: whoever sends a late outcome, the other waits for it or gets the same.
  const [one, other] = await Promise.all([retry(url, client), retry(url, client)]);
  const again = await retry(url, client);
  const { status, type, body } = again;
  expect({
    kind: client.kind,
    status,
    body: body.slice(0, 300),
    runs: answers.get(client.key)?.length,
  }).toEqual({
    kind: client.kind,
    status: STATUS[client.kind] ?? 201,
    body: expect.stringContaining(answers.get(client.key)?.[0]?.slice(0, 200) ?? 'no run at all'),
    runs: 1,
  });
  expect(body).toContain(answers.get(client.key)?.[0]);
  expect(again.replayed).toBe(true);
  for (const retried of [one, other]) {
    expect({ ...retried, replayed: undefined }).toEqual({ status, type, body, replayed: undefined });
  }
}

async function expectNothingLeft(
  { app }: RunningApp,
  { signals, responses }: Runs,
  timers: ReturnType<typeof watchTimers>,
): Promise<void> {
  const { engine } = app.get<{ engine: { running: number } }>(Symbol.for('nestjs-idempotent:runtime'));
  const connections = promisify((done: (error: Error | null, count: number) => void) =>
    (app.getHttpServer() as Server).getConnections(done),
  );
  await eventually(async () => {
    expect({ running: engine.running, timers: timers.pending(), connections: await connections() }).toEqual({
      running: 0,
      timers: 0,
      connections: 0,
    });
  });
  const inProgress: string[] = [];
  const service = app.get(IdempotencyService);
  for await (const { id } of service.find({ state: 'in_progress' })) inProgress.push(id);
  expect(inProgress).toEqual([]);
  expect([...signals].flatMap((signal) => getEventListeners(signal, 'abort'))).toEqual([]);
  expect([...signals].filter(({ aborted }) => aborted)).toEqual([]);
  const ours = [...responses].flatMap((response) =>
    response
      .eventNames()
      .flatMap((name) => response.rawListeners(name))
      .map(String)
      .filter((source) => source.includes('execution.') || source.includes("this.mode = 'deaf'")),
  );
  expect(ours).toEqual([]);
}
