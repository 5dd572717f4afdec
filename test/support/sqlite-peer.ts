import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { IdempotencyStorage, RecordView } from '../../libs/idempotency/src/core/idempotency-storage.js';

type Method = Exclude<keyof IdempotencyStorage, 'name' | 'shared' | 'start' | 'stop' | 'waitForChange'>;

export interface Order {
  readonly call: number;
  readonly method: Method;
  readonly args: readonly unknown[];
}

export interface Report {
  readonly call: number;
  readonly answer?: unknown;
  readonly failure?: { readonly name: string; readonly message: string; readonly code: unknown };
}

export interface SqlitePeer {
  readonly process: ChildProcess;
  /** Each call is made in the other process. */
  readonly storage: IdempotencyStorage;
  stop(): Promise<void>;
}

const children = new Set<ChildProcess>();
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));

/** A storage over the file, in a process of its own. */
export async function startSqlitePeer(file: string): Promise<SqlitePeer> {
  const child = fork('./test/support/sqlite-peer-process.ts', [file], {
    execArgv: ['--disable-warning=ExperimentalWarning', '--import', './test/support/ts-hooks.mjs'],
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  children.add(child);
  const waiting = new Map<number, (report: Report) => void>();
  let ended: Report | undefined;
  const ready = new Promise<Report>((resolve) => waiting.set(0, resolve));
  child.on('message', (report: Report) => {
    waiting.get(report.call)?.(report);
    waiting.delete(report.call);
  });
  child.once('exit', (code, signal) => {
    children.delete(child);
    ended = { call: 0, failure: { name: 'Error', message: `ended with ${code ?? signal}`, code: undefined } };
    for (const settle of waiting.values()) settle(ended);
  });
  let calls = 0;
  const ask = async (method: Method, args: readonly unknown[]): Promise<never> => {
    calls += 1;
    const call = calls;
    const report = await new Promise<Report>((resolve) => {
      if (ended !== undefined) return resolve(ended);
      waiting.set(call, resolve);
      child.send({ call, method, args } satisfies Order);
    });
    return result(report);
  };
  result(await ready);
  return {
    process: child,
    storage: {
      name: 'typeorm',
      shared: true,
      claim: (...args) => ask('claim', args),
      renew: (...args) => ask('renew', args),
      complete: (...args) => ask('complete', args),
      release: (...args) => ask('release', args),
      saveStep: (...args) => ask('saveStep', args),
      get: (...args) => ask('get', args),
      forget: (...args) => ask('forget', args),
      purgeExpired: (...args) => ask('purgeExpired', args),
      async *find(...args) {
        yield* (await ask('find', args)) as readonly RecordView[];
      },
    },
    async stop() {
      if (ended !== undefined) return;
      const exit = once(child, 'exit');
      child.disconnect();
      const timer = setTimeout(() => child.kill('SIGKILL'), 8000);
      await exit;
      clearTimeout(timer);
    },
  };
}

function result({ answer, failure }: Report): never {
  if (failure !== undefined) throw Object.assign(new Error(failure.message), failure);
  return answer as never;
}
