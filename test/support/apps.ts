import { Test } from '@nestjs/testing';
import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { freePort } from './free-port.js';

export type Platform = 'express' | 'fastify';
export const platforms: readonly Platform[] = ['express', 'fastify'];

export interface RunningApp {
  readonly app: INestApplication;
  readonly url: string;
  close(): Promise<void>;
}

export interface ServerOptions {
  /** HTTP/2 without TLS, which Fastify alone knows. */
  readonly http2?: boolean;
}

/** A Nest application that listens on loopback. `prepare` runs before `init()`. */
export async function startApp(
  platform: Platform,
  module: ModuleMetadata,
  prepare: (app: INestApplication) => Promise<void> | void = () => {},
  { http2 = false }: ServerOptions = {},
): Promise<RunningApp> {
  const testing = await Test.createTestingModule(module).compile();
  const app: INestApplication =
    platform === 'fastify'
      ? testing.createNestApplication<NestFastifyApplication>(
          // The adapter's types know the two versions as two adapters.
          http2 ? new FastifyAdapter({ http2 } as object) : new FastifyAdapter(),
          { logger: false },
        )
      : testing.createNestApplication({ logger: false });
  await prepare(app);
  const port = await freePort();
  await app.listen(port, '127.0.0.1');
  return { app, url: `http://127.0.0.1:${port}`, close: () => app.close() };
}
