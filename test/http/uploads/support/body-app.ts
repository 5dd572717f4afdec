import type { INestApplication } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { memoryStorage, type IdempotencyModuleOptions, type IdempotentOptions } from 'nestjs-idempotent';
import type { Platform } from '../../../support/apps.js';
import { start } from '../../support/apps.js';
import { ordersController } from '../../support/orders.controller.js';
import { send, type Received, type Sending } from '../../support/requests.js';

export interface BodyApp {
  readonly options?: IdempotentOptions;
  readonly module?: IdempotencyModuleOptions;
  readonly prepare?: (app: INestApplication) => Promise<void> | void;
}

/** Two apps over one storage with `POST /orders`; requests go to them in turn. */
export async function bodyApps(platform: Platform, { options, module, prepare }: BodyApp = {}) {
  const bodies: unknown[] = [];
  const handler = (body: unknown) => ({ id: `order-${bodies.push(body)}` });
  const set = {
    controllers: [ordersController(handler, options)],
    options: { storage: memoryStorage(), ...module },
    ...(prepare ? { prepare } : {}),
  };
  const apps = [await start(platform, set), await start(platform, set)];
  let turn = 0;
  const next = () => apps[(turn += 1) % 2] ?? { url: '' };
  const post = (sending: Sending = {}): Promise<Received> =>
    send(next(), '/orders', { key: 'k', ...sending });
  return { post, next, bodies };
}

/** Has bodies of this type kept as bytes. */
export const rawParser =
  (platform: Platform, type: string) =>
  (app: INestApplication): void => {
    if (platform === 'express') (app as NestExpressApplication).useBodyParser('raw', { type });
    else (app as NestFastifyApplication).useBodyParser(type);
  };

interface ParserRegistry {
  removeAllContentTypeParsers(): void;
  addContentTypeParser(
    type: string,
    parser: (request: unknown, payload: unknown, done: (error: null, body?: unknown) => void) => void,
  ): void;
}

/** On Fastify, without a parser a body is refused before anybody sees it: this one leaves it to the handler. */
export const leaveUnread =
  (platform: Platform, type: string, handOverStream = false) =>
  (app: INestApplication): void => {
    if (platform === 'express') {
      if (handOverStream)
        app.use((request: { body: unknown }, _: unknown, next: () => void) => {
          request.body = request;
          next();
        });
      return;
    }
    const { instance } = (app as NestFastifyApplication).getHttpAdapter() as unknown as {
      instance: ParserRegistry;
    };
    instance.addContentTypeParser(type, (_request, payload, done) =>
      done(null, handOverStream ? payload : undefined),
    );
  };
