import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

const exec = promisify(execFile);
const root = process.cwd();
const library = join(root, 'libs/idempotency');

/** What a consumer has beside the library; a symlink resolves to the real package with its own dependencies. */
const NEST = ['@nestjs/common', '@nestjs/core', '@nestjs/platform-express', 'rxjs', 'reflect-metadata'];

let folder: string;

/** An app folder with the packed library as a real folder in it, and only these packages within its reach. */
function consumer(name: string, packages: readonly string[]): string {
  const app = join(folder, name);
  for (const packageName of packages) {
    const link = join(app, 'node_modules', packageName);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, 'node_modules', packageName), link, 'dir');
  }
  return app;
}

async function unpackInto(app: string): Promise<void> {
  const target = join(app, 'node_modules/nestjs-idempotent');
  mkdirSync(target, { recursive: true });
  await exec('tar', ['-xzf', join(folder, 'library.tgz'), '-C', target, '--strip-components=1']);
}

async function node(app: string, file: string, source: string): Promise<string> {
  writeFileSync(join(app, file), source);
  const { stdout } = await exec('node', ['--disable-warning=ExperimentalWarning', file], { cwd: app });
  return stdout.trim();
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nestjs-idempotent-package-'));
  await exec('npm', ['run', '--silent', 'build'], { cwd: library });
  const { stdout } = await exec('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: library });
  await exec('mv', [join(folder, stdout.trim().split('\n').at(-1) ?? ''), join(folder, 'library.tgz')]);
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const APP = `
class Orders { create() { return { created: ++Orders.count }; } }
Orders.count = 0;
const descriptor = Object.getOwnPropertyDescriptor(Orders.prototype, 'create');
Post()(Orders.prototype, 'create', descriptor);
Idempotent('24h')(Orders.prototype, 'create', descriptor);
Object.defineProperty(Orders.prototype, 'create', descriptor);
Controller('orders')(Orders);
class AppModule {}
Module({ imports: [IdempotencyModule.forRoot({ storage: memoryStorage() })], controllers: [Orders] })(AppModule);
async function main() {
  const app = await NestFactory.create(AppModule, { logger: false });
  await app.listen(0, '127.0.0.1');
  const send = async () => {
    const answer = await fetch((await app.getUrl()) + '/orders', { method: 'POST', headers: { 'idempotency-key': 'k' } });
    return [answer.status, await answer.text(), answer.headers.get('idempotent-replayed')].join(' ');
  };
  console.log(await send());
  console.log(await send());
  await app.close();
}
main();
`;
const NAMES = 'Idempotent, IdempotencyModule, memoryStorage';

describe('the packed library', () => {
  it('boots and replays in an ESM app that has neither redis, ioredis nor typeorm', async () => {
    const app = consumer('esm', NEST);
    await unpackInto(app);
    const source = `
import { ${NAMES} } from 'nestjs-idempotent';
import { Controller, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
${APP}`;
    expect(await node(app, 'main.mjs', source)).toBe('201 {"created":1} \n201 {"created":1} true');
  });

  it('gives require() and import the same classes', async () => {
    const app = consumer('both', NEST);
    await unpackInto(app);
    const source = `
import { createRequire } from 'node:module';
import * as imported from 'nestjs-idempotent';
const required = createRequire(import.meta.url)('nestjs-idempotent');
console.log(imported.IdempotencyModule === required.IdempotencyModule);`;
    expect(await node(app, 'main.mjs', source)).toBe('true');
  });

  it('imports ./redis and ./testing without their optional packages, because a client is handed in', async () => {
    const app = consumer('no-redis', NEST);
    await unpackInto(app);
    const source = `
import { redisStorage } from 'nestjs-idempotent/redis';
import { storageContract } from 'nestjs-idempotent/testing';
console.log(storageContract.length > 20);
await redisStorage({ url: 'redis://127.0.0.1:1' }).start().catch((error) => console.log(error.message));`;
    const [contract, message] = (await node(app, 'main.mjs', source)).split('\n');
    expect(contract).toBe('true');
    expect(message).toContain('npm install redis');
  });

  it('imports ./typeorm, with the outbox, where there is typeorm and no @nestjs/microservices', async () => {
    const app = consumer('typeorm', [...NEST, 'typeorm']);
    await unpackInto(app);
    const source = `
import { OutboxModule } from 'nestjs-idempotent/typeorm';
await import('@nestjs/microservices').catch((error) => console.log(error.code));
console.log(typeof OutboxModule.forRoot({ publish: () => {} }).module);`;
    expect(await node(app, 'main.mjs', source)).toBe('ERR_MODULE_NOT_FOUND\nfunction');
  });

  it('names the missing package when ./typeorm is imported without typeorm', async () => {
    const app = consumer('no-typeorm', NEST);
    await unpackInto(app);
    const source = `await import('nestjs-idempotent/typeorm').catch((error) => console.log(error.message));`;
    expect(await node(app, 'main.mjs', source)).toContain("'typeorm'");
  });

  it.each([
    ['nodenext, ESM', { module: 'nodenext' }, 'main.mts'],
    ['nodenext, CommonJS', { module: 'nodenext' }, 'main.cts'],
    ['bundler', { module: 'esnext', moduleResolution: 'bundler' }, 'main.ts'],
  ])(
    'compiles in a consumer with skipLibCheck: false (%s)',
    async (name, options, file) => {
      const app = consumer(`types-${name.replace(/\W+/g, '-')}`, [
        ...NEST,
        'redis',
        'typeorm',
        '@types/node',
      ]);
      await unpackInto(app);
      writeFileSync(
        join(app, file),
        `import { Idempotent, IdempotencyModule, NoKeyError, NoTransactionError, type HeldLock, type IdempotencyService,
  type IdempotentOperation, type IdempotentOptions, type LockOptions, type StepOptions } from 'nestjs-idempotent';
import { redisStorage } from 'nestjs-idempotent/redis';
import { appendOperation, CreateIdempotencyRecords1795305600000, CreateOperationLog1795392000000, CreateOutbox1795478400000,
  IdempotencyRecord, insertOnce, MariaDbIdempotencyRecord, MariaDbOperationLogEntry, MariaDbOutboxEntry, OperationLogEntry,
  Outbox, OutboxEntry, OutboxMessageRefusedError, OutboxModule, OutboxRelay, outsideTransaction, SqliteIdempotencyRecord,
  type NewOutboxMessage, type OutboxOptions, type PublishOutboxMessage,
  TransactionEndedError, TransactionMisusedError, typeOrmStorage, updateVersioned } from 'nestjs-idempotent/typeorm';
import { storageContract } from 'nestjs-idempotent/testing';
import type { EntityManager } from 'typeorm';
import { createClient } from 'redis';
export const options: IdempotentOptions = { ttl: '7d', inFlight: 'wait' };
export const module = IdempotencyModule.forRoot({ namespace: 'shop', storage: redisStorage({ client: createClient() }) });
export const other = typeOrmStorage({ controlConnections: 2 });
export const clauses: number = storageContract.length;
export class Orders { @Idempotent('24h') create(): string { return 'x'; } }
export const undoable: StepOptions<{ id: string }> = { undo: ({ id }) => id };
export async function pay(op: IdempotentOperation): Promise<number> {
  const manager: EntityManager = op.manager;
  const { id } = await op.step('charge', () => ({ id: op.deriveKey('charge') }), undoable);
  return manager.count(OperationLogEntry, { where: { commandId: id } });
}
export const locked = (service: IdempotencyService, options: LockOptions): Promise<boolean> =>
  service.withLock('balance', options, ({ signal }: HeldLock) => outsideTransaction(() => signal.aborted));
const publish: PublishOutboxMessage = ({ id }, { signal }) => (signal.aborted ? undefined : id);
export const outboxOptions: OutboxOptions = { publish, relay: { pollEvery: '5s' }, retry: { attempts: 3 } };
export const outbox = [OutboxModule.forRoot(outboxOptions), OutboxModule.forRootAsync({ useFactory: () => outboxOptions })];
export const add = (box: Outbox, message: NewOutboxMessage, manager: EntityManager): Promise<string> => box.add(message, { manager });
export const round = (relay: OutboxRelay): Promise<{ claimed: number }> => relay.runOnce();
export const rest = [CreateOutbox1795478400000, MariaDbOutboxEntry, OutboxEntry, OutboxMessageRefusedError, appendOperation, insertOnce, updateVersioned, NoKeyError, NoTransactionError, TransactionEndedError,
  TransactionMisusedError, CreateIdempotencyRecords1795305600000, CreateOperationLog1795392000000, IdempotencyRecord,
  MariaDbIdempotencyRecord, MariaDbOperationLogEntry, SqliteIdempotencyRecord] as const;
`,
      );
      writeFileSync(
        join(app, 'tsconfig.json'),
        JSON.stringify({
          compilerOptions: {
            ...options,
            target: 'es2022',
            types: ['node'],
            strict: true,
            noEmit: true,
            skipLibCheck: false,
            experimentalDecorators: true,
          },
          files: [file],
        }),
      );
      const { stdout } = await exec('node', [join(root, 'node_modules/typescript/bin/tsc'), '-p', app]).catch(
        (error: { stdout: string }) => error,
      );
      expect(stdout).toBe('');
    },
    120_000,
  );

  it.each([
    ['index.d.ts', []],
    ['redis/index.d.ts', []],
    ['testing/index.d.ts', []],
    ['typeorm/index.d.ts', ['typeorm']],
  ])('mentions no optional package in the types reached from %s but what it is for: %j', (entry, itsOwn) => {
    const seen = new Set<string>();
    const packages = new Set<string>();
    const walk = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      for (const [, from = ''] of readFileSync(file, 'utf8').matchAll(
        /(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g,
      )) {
        if (from.startsWith('.')) walk(resolve(dirname(file), from.replace(/\.js$/, '.d.ts')));
        else packages.add(from);
      }
    };
    walk(join(library, 'dist/esm', entry));
    expect(seen.size).toBeGreaterThan(1);
    expect(
      [...packages].filter(
        (name) =>
          !itsOwn.includes(name) && !/^(@nestjs\/(common|core)|rxjs|node:.*|reflect-metadata)$/.test(name),
      ),
    ).toEqual([]);
  });

  it('declares every package that its sources import', () => {
    const declared = Object.keys(
      (JSON.parse(readFileSync(join(library, 'package.json'), 'utf8')) as { peerDependencies: object })
        .peerDependencies,
    );
    const imported = new Set<string>();
    for (const file of readdirSync(join(library, 'src'), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts') || file.endsWith('.spec.ts')) continue;
      const source = readFileSync(join(library, 'src', file), 'utf8');
      // As a statement, or when it is needed.
      const found = source.matchAll(/(?:^(?:import|export)\b[^'";]*from |\bimport\()'([^'.][^']*)'/gm);
      for (const [, name = ''] of found) {
        if (!name.startsWith('node:'))
          imported.add(
            name
              .split('/')
              .slice(0, name.startsWith('@') ? 2 : 1)
              .join('/'),
          );
      }
    }
    expect([...imported].filter((name) => !declared.includes(name))).toEqual([]);
  });
});
