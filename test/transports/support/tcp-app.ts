import { afterEach } from '@jest/globals';
import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import {
  ClientProxyFactory,
  Transport,
  type ClientProxy,
  type MicroserviceOptions,
} from '@nestjs/microservices';
import { Test } from '@nestjs/testing';
import { IdempotencyModule, type IdempotencyModuleOptions } from 'nestjs-idempotent';
import { lastValueFrom, toArray } from 'rxjs';
import { freePort } from '../../support/free-port.js';

export interface TcpApp {
  readonly app: { get<T>(type: abstract new (...args: never[]) => T): T };
  readonly client: ClientProxy;
  /** The only reply, or the error as the client gets it: `{ error }`. */
  send(pattern: unknown, data: unknown): Promise<unknown>;
  /** Every reply. */
  sendForAll(pattern: unknown, data: unknown): Promise<unknown[]>;
  emit(pattern: unknown, data: unknown): Promise<void>;
}

export interface TcpOptions extends ModuleMetadata {
  readonly options?: IdempotencyModuleOptions;
  /** How it is started: alone, or beside an HTTP server with or without its interceptors. */
  readonly as?: 'microservice' | 'hybrid' | 'inheriting hybrid';
}

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Message handlers over real TCP, and a client of theirs, closed after the test. */
export async function startTcp({
  options,
  as = 'microservice',
  imports = [],
  ...module
}: TcpOptions): Promise<TcpApp> {
  const testing = await Test.createTestingModule({
    ...module,
    imports: [...imports, IdempotencyModule.forRoot(options ?? {})],
  }).compile();
  const port = await freePort();
  const tcp: MicroserviceOptions = { transport: Transport.TCP, options: { host: '127.0.0.1', port } };
  const app = as === 'microservice' ? testing.createNestMicroservice({ ...tcp, logger: false }) : hybrid();
  function hybrid(): INestApplication {
    const web = testing.createNestApplication({ logger: false });
    web.connectMicroservice(tcp, { inheritAppConfig: as === 'inheriting hybrid' });
    return web;
  }
  closers.push(() => app.close());
  if ('startAllMicroservices' in app) {
    await app.startAllMicroservices();
    await app.init();
  } else await app.listen();
  return { app, ...connect(port) };
}

function connect(port: number): Omit<TcpApp, 'app'> {
  const client = ClientProxyFactory.create({
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port },
  });
  closers.push(() => client.close());
  const sendForAll = (pattern: unknown, data: unknown): Promise<unknown[]> =>
    lastValueFrom(client.send<unknown, unknown>(pattern, data).pipe(toArray()));
  return {
    client,
    sendForAll,
    send: async (pattern, data) => {
      try {
        return (await sendForAll(pattern, data)).at(-1);
      } catch (error) {
        return { error };
      }
    },
    emit: async (pattern, data) => {
      await lastValueFrom(client.emit(pattern, data), { defaultValue: undefined });
    },
  };
}
