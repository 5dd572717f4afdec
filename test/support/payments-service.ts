import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Fault } from '../../apps/payments/src/faults/faults.js';
import { freePort } from './free-port.js';
import { buildPayments } from './payments-build.js';

/** What an answer holds is what tests assert. */
export interface PaymentsAnswer {
  readonly status: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- see above
  readonly body: any;
}

/** The payment service in a process of its own, over a ledger of its own that stays when it is killed. */
export interface PaymentsService {
  readonly url: string;
  readonly ledger: { read(): string; write(text: string): void; append(text: string): void };
  charge(key: string | undefined, body?: object): Promise<PaymentsAnswer>;
  refund(key: string, charge: string): Promise<PaymentsAnswer>;
  charges(reference: string): Promise<readonly { id: string; amount: number; status: string }[]>;
  /** How many charges and refunds it is deciding. */
  running(): Promise<number>;
  health(): Promise<PaymentsAnswer>;
  /** What it does next time, and at which point; lets go whom an earlier fault keeps waiting. */
  breakAt(fault: Fault): Promise<void>;
  /** Of the next charge: it waits before it is decided, until `letGo`. */
  holdCharge(): Promise<void>;
  letGo(): Promise<void>;
  /** The ledger has room for part of a line, and the rest of this service's life is spent so. */
  fillDisk(): void;
  kill(): Promise<void>;
  /** Resolves when it has ended by itself, with the signal that did it. */
  hasDied(): Promise<string>;
  /** After `kill` or `hasDied`: again, over the same ledger and on the same port. */
  start(env?: Readonly<Record<string, string>>): Promise<void>;
  /** Another one over the same ledger: what it says before it gives up. */
  secondStart(): Promise<string>;
  /** Ends it and removes its ledger. */
  stop(): Promise<void>;
}

const children = new Set<ChildProcess>();
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));

export async function startPayments(): Promise<PaymentsService> {
  const dataDir = mkdtempSync(join(tmpdir(), 'test-payments-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const ledger = join(dataDir, 'ledger');
  let process_: PaymentsProcess | undefined;

  const ask = async (method: string, path: string, body?: object, key?: string): Promise<PaymentsAnswer> => {
    const response = await fetch(url + path, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(key !== undefined && { 'idempotency-key': key }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text && JSON.parse(text) };
  };
  const end = async (): Promise<void> => {
    process_?.child.kill('SIGKILL');
    await process_?.ended;
  };
  const service: PaymentsService = {
    url,
    ledger: {
      read: () => readFileSync(ledger, 'utf8'),
      write: (text) => writeFileSync(ledger, text),
      append: (text) => appendFileSync(ledger, text),
    },
    charge: (key, body = { amount: 1999, card: 'visa', reference: 'order-1' }) =>
      ask('POST', '/charges', body, key),
    refund: (key, charge) => ask('POST', '/refunds', { charge }, key),
    charges: async (reference) => (await ask('GET', `/charges?reference=${reference}`)).body,
    health: () => ask('GET', '/health'),
    running: async () => (await service.health()).body.running,
    async breakAt(fault) {
      const { status } = await ask('PUT', '/faults', fault);
      if (status !== 204) throw new Error(`The payment service does not know ${JSON.stringify(fault)}.`);
    },
    holdCharge: () => service.breakAt({ point: 'before-write', kind: 'wait', on: 'charge', waitMs: 20_000 }),
    async letGo() {
      await ask('DELETE', '/faults');
    },
    fillDisk: () => fillDiskOf(process_!.child.pid!, ledger),
    kill: end,
    hasDied: () => process_!.ended,
    async start(env = {}) {
      process_ = run({ ...env, DATA_DIR: dataDir, PORT: String(port) });
      await process_.ready;
    },
    async secondStart() {
      const second = run({ DATA_DIR: dataDir, PORT: '0' });
      await second.ready.catch(() => undefined);
      second.child.kill('SIGKILL');
      await second.ended;
      return second.said();
    },
    async stop() {
      await end();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  await service.start();
  return service;
}

/** No file of the process may grow beyond the ledger's size of now, and a bit. */
export function fillDiskOf(pid: number, ledger: string): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${statSync(ledger).size + 20}`]);
}

interface PaymentsProcess {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  readonly ended: Promise<string>;
  said(): string;
}

function run(env: Readonly<Record<string, string>>): PaymentsProcess {
  const child = spawn(process.execPath, [buildPayments()], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let output = '';
  let tell!: () => void;
  const listening = new Promise<void>((resolve) => (tell = resolve));
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.includes('listening on')) tell();
    });
  }
  const ended = once(child, 'close').then(([code, signal]) => {
    children.delete(child);
    return String(signal ?? code);
  });
  const early = ended.then((how) => {
    throw new Error(`The payment service ended with ${how} before it listened:\n${output}`);
  });
  const ready = Promise.race([listening, early]);
  ready.catch(() => undefined); // heard where it is awaited
  early.catch(() => undefined);
  return { child, ready, ended, said: () => output };
}
