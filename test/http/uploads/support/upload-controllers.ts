import type { Type } from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-express';
import { FileInterceptor as FastifyFileInterceptor } from '@nestjs/platform-fastify/multipart';
import { memoryStorage } from 'nestjs-idempotent';
import { faultyStorage } from 'nestjs-idempotent/testing';
import { start, type RunningApp } from '../../support/apps.js';
import { send, type Received } from '../../support/requests.js';
import type { Platform } from '../../../support/apps.js';
import { form, type Part } from './multipart.js';
import { file, title } from './two-apps.js';

/** What is sent unless the test says otherwise, and the same with another file. */
export const parts: readonly Part[] = [title('a'), file()];
export const others: readonly Part[] = [title('a'), file({ content: 'two' })];

/** One file in the field `file`, kept in memory. */
export const oneFile = (platform: Platform) =>
  platform === 'express' ? FileInterceptor('file') : FastifyFileInterceptor('file');

/** Two apps over one storage that can be made to fail, asked in turn. */
export async function serve(platform: Platform, controller: Type) {
  const storage = faultyStorage(memoryStorage());
  const set = { controllers: [controller], options: { storage } };
  const apps = [await start(platform, set), await start(platform, set)];
  let turn = 0;
  const post = (sent: readonly Part[] = parts, path = '/files'): Promise<Received> =>
    send(apps[(turn += 1) % 2] as RunningApp, path, { key: 'k', ...form(sent) });
  return { post, storage, app: apps[0] as RunningApp };
}
