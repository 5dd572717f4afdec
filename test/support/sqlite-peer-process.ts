// A storage in a process of its own, told by its parent what to call: see sqlite-peer.ts.
import 'reflect-metadata';
import { DataSource } from 'typeorm';
import type { RecordQuery, RecordView } from '../../libs/idempotency/src/core/idempotency-storage.js';
import { typeOrmStorage } from '../../libs/idempotency/src/typeorm/index.js';
import type { Order, Report } from './sqlite-peer.js';

const [database = ''] = process.argv.slice(2);
const dataSource = await new DataSource({ type: 'better-sqlite3', database }).initialize();
const storage = typeOrmStorage({ dataSource, purgeEvery: false });
await storage.start?.();

const report = (message: Report) => process.send?.(message);

async function collect(query: RecordQuery): Promise<readonly RecordView[]> {
  const records: RecordView[] = [];
  for await (const record of storage.find(query)) records.push(record);
  return records;
}

async function obey({ call, method, args }: Order): Promise<void> {
  try {
    const answer: unknown =
      method === 'find'
        ? await collect(...(args as Parameters<typeof storage.find>))
        : await (storage[method] as (...all: readonly unknown[]) => unknown).call(storage, ...args);
    report({ call, answer });
  } catch (error) {
    const { name, message } = error as Error;
    report({ call, failure: { name, message, code: (error as { code?: unknown }).code } });
  }
}

process.on('message', (order: Order) => void obey(order));
process.once('disconnect', () => void Promise.resolve(storage.stop?.()).then(() => process.exit(0)));
report({ call: 0, answer: 'ready' });
