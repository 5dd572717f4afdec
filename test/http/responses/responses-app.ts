import { APP_INTERCEPTOR } from '@nestjs/core';
import type { INestApplication, Type } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import fastifyCompress from '@fastify/compress';
import compression from 'compression';
import { once } from 'node:events';
import type { Server, ServerResponse } from 'node:http';
import { randomUUID } from 'node:crypto';
import { IdempotencyModule, type IdempotencyStorage } from 'nestjs-idempotent';
import { startApp, type Platform } from '../../support/apps.js';
import { ChosenGlobal, ChosenOutside } from './around.js';
import { http1Client, type Client } from './http-client.js';
import { http2Client } from './http2-client.js';
import type { Kind, Trial, TrialRequest } from './kind.js';
import type { Setting } from './settings.js';

export interface ResponsesApp {
  trial(kind: Kind): Trial;
  close(): Promise<void>;
}

export interface AppOptions {
  readonly setting: Setting;
  readonly storage: IdempotencyStorage;
  readonly controllers: readonly Type[];
}

/** An app with all kinds of responses, registered and configured as users do. */
export async function startResponsesApp(options: AppOptions): Promise<ResponsesApp> {
  const { setting, storage, controllers } = options;
  const { platform, compressed, http2 } = setting;
  const module = {
    imports: [
      IdempotencyModule.forRoot({
        namespace: `responses-${setting.title.replace(/[^A-Za-z0-9]+/g, '-')}`,
        storage,
        // Without a key a route answers as if it were not protected: what the first answer is compared with.
        required: false,
      }),
    ],
    controllers: [...controllers],
    providers: [{ provide: APP_INTERCEPTOR, useClass: ChosenOutside }],
  };
  const prepare = async (app: INestApplication) => {
    app.useGlobalInterceptors(new ChosenGlobal());
    if (compressed) await compress(app, platform);
  };
  const running = await startApp(platform, module, prepare, { http2 });
  const client = http2 ? http2Client(running.url) : http1Client(running.url);
  const server = running.app.getHttpServer() as Server;
  const clientGone = async () => {
    const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
    await once(response, 'close');
  };
  return {
    trial: (kind) => ({ ...trialOn(setting, client, kind), clientGone }),
    async close() {
      client.close();
      await running.close();
    },
  };
}

async function compress(app: INestApplication, platform: Platform): Promise<void> {
  if (platform === 'express') app.use(compression({ threshold: 0 }));
  else await (app as NestFastifyApplication).register(fastifyCompress, { threshold: 0 });
}

const ENCODINGS = { gzip: 'gzip', br: 'br', none: undefined } as const;
const WITHOUT_BODY = new Set(['GET', 'HEAD']);

function trialOn(setting: Setting, client: Client, kind: Kind): Omit<Trial, 'clientGone'> {
  const key = randomUUID();
  const method = kind.method ?? 'POST';
  const request = (changes: TrialRequest = {}) => {
    const encoding = ENCODINGS[changes.accept ?? (setting.compressed ? 'gzip' : 'none')];
    return {
      method,
      path: kind.path,
      body: 'body' in changes ? changes.body : (kind.body ?? (WITHOUT_BODY.has(method) ? undefined : {})),
      headers: {
        ...kind.headers,
        ...changes.headers,
        ...(changes.key === false ? {} : { 'idempotency-key': key }),
        ...(encoding === undefined ? {} : { 'accept-encoding': encoding }),
      },
    };
  };
  return {
    ...setting,
    kind,
    send: (changes) => client.send(request(changes)),
    sendAndLeave: () => client.sendAndLeave(request()),
  };
}
