/**
 * A process with a saga of four steps behind `POST /orders`, the last of which is refused for good. What its steps and undos
 * do is written to a ledger: a service that keeps its own keys, and lives on when this process is killed.
 *
 * A request names the point at which it is to stand still (`x-halt-at`), for the process to be killed there, or at which the
 * process is to be stopped. Points lie around each effect, and before and after each call of the storage that writes.
 */
import { Controller, Get, Headers, Post, UnprocessableEntityException } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  Idempotent,
  IdempotencyModule,
  IdempotencyService,
  IdempotentOp,
  IdempotentOperation,
  type Claim,
  type IdempotencyStorage,
} from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { appendFileSync } from 'node:fs';
import { DataSource } from 'typeorm';
import { Ledger } from './ledger.js';

const { DATABASE_URL, REDIS_URL, LEDGER = '', PORT } = process.env;

interface Watched {
  readonly folder: string;
  readonly haltAt: string;
}

/** What was asked for, by record id. */
const watches = new Map<string, Watched>();
let halted = 0;

async function point(id: string, name: string): Promise<void> {
  const watch = watches.get(id);
  if (watch?.haltAt === 'nowhere') appendFileSync(`${watch.folder}/points`, `${name}\n`);
  // The whole process, as on a frozen host.
  if (watch?.haltAt === `stopped ${name}`) process.kill(process.pid, 'SIGSTOP');
  if (watch?.haltAt !== name) return;
  halted += 1;
  await new Promise(() => {}); // until it is killed
}

@Controller()
class Orders {
  constructor(private readonly idempotency: IdempotencyService) {}

  @Post('orders')
  @Idempotent({ lease: '1500ms' })
  async create(
    @IdempotentOp() op: IdempotentOperation,
    @Headers('x-halt-at') haltAt: string | undefined,
  ): Promise<void> {
    const key = op.key ?? '';
    const id = this.idempotency.recordId({ operation: 'POST /orders', key });
    const folder = `${LEDGER}/${key}`;
    if (haltAt !== undefined) watches.set(id, { folder, haltAt });
    const ledger = new Ledger(folder);
    const effect = async (what: string) => {
      await point(id, `before the effect: ${what}`);
      ledger.enter(what, op.deriveKey(what));
      await point(id, `after the effect: ${what}`);
      return { what };
    };
    for (const name of ['charge', 'reserve', 'book']) {
      await op.step(name, () => effect(name), { undo: ({ what }) => effect(`undo ${what}`) });
    }
    await op.step('approve', () => {
      throw new UnprocessableEntityException({ reason: 'limit', attempt: op.attempt });
    });
  }

  /** How many requests stand still. */
  @Get('halted')
  halted(): number {
    return halted;
  }
}

const WRITES: readonly unknown[] = ['saveStep', 'complete', 'release'] satisfies (keyof IdempotencyStorage)[];

/** The storage, with a point before and after each call that writes. */
function watched(storage: IdempotencyStorage): IdempotencyStorage {
  return new Proxy(storage, {
    get(target, property) {
      const member: unknown = Reflect.get(target, property);
      if (typeof member !== 'function') return member;
      if (!WRITES.includes(property)) return member.bind(target) as unknown;
      return async (claim: Claim, ...args: unknown[]) => {
        const what = `${String(property)}${property === 'saveStep' ? ` ${JSON.stringify(args[0])}` : ''}`;
        await point(claim.id, `before ${what}`);
        const answer: unknown = await (member as (...args: unknown[]) => Promise<unknown>).call(
          target,
          claim,
          ...args,
        );
        await point(claim.id, `after ${what}`);
        return answer;
      };
    },
  });
}

async function storage(): Promise<IdempotencyStorage> {
  if (DATABASE_URL === undefined) return redisStorage({ url: REDIS_URL ?? '' });
  const dataSource = await new DataSource({
    type: 'postgres',
    url: DATABASE_URL,
  }).initialize();
  return typeOrmStorage({ dataSource, purgeEvery: false });
}

const options = { namespace: 'saga', storage: watched(await storage()), storageTimeout: '1s' } as const;
const root = {
  module: class {},
  imports: [IdempotencyModule.forRoot(options)],
  controllers: [Orders],
};
const app = await NestFactory.create(root, { logger: ['error'], abortOnError: false });
await app.listen(Number(PORT), '127.0.0.1');
console.log(`listening on ${PORT}`);

process.once('SIGTERM', () => void app.close().then(() => process.exit(0)));
