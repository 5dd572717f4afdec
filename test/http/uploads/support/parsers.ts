import type { CallHandler, ExecutionContext, INestApplication, NestInterceptor } from '@nestjs/common';
import * as express from '@nestjs/platform-express';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import * as fastify from '@nestjs/platform-fastify/multipart';
import multipart from '@fastify/multipart';
import multer from 'multer';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { from, switchMap, type Observable } from 'rxjs';
import type { Parser } from './upload-app.js';

/** A folder of its own for each run of the tests. */
export const folder = mkdtempSync(join(tmpdir(), 'uploads-'));

export const register =
  (options: { attachFieldsToBody?: true | 'keyValues' }) => async (app: INestApplication) => {
    await (app as NestFastifyApplication).register(multipart, options);
  };

/** Saves files below the temporary folder; the plugin removes them when the response is out. */
export class SaveRequestFiles implements NestInterceptor {
  /** @param keepsValues puts the fields where a handler would look for them */
  constructor(private readonly keepsValues = false) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<SavingRequest>();
    const saved = request.saveRequestFiles({ tmpdir: folder }).then(({ values }) => {
      if (this.keepsValues) request.body = values;
    });
    return from(saved).pipe(switchMap(() => next.handle()));
  }
}

interface SavingRequest {
  body: unknown;
  saveRequestFiles(options: object): Promise<{ readonly values: object }>;
}

const expressMemory: Parser = {
  platform: 'express',
  name: 'AnyFilesInterceptor, in memory',
  interceptors: () => [express.AnyFilesInterceptor()],
};
const fastifyMemory: Parser = {
  platform: 'fastify',
  name: 'AnyFilesInterceptor, in memory',
  interceptors: () => [fastify.AnyFilesInterceptor()],
};

/** One for each platform where the parser makes no difference. */
export const plainParsers: readonly Parser[] = [expressMemory, fastifyMemory];

/** Those that take any fields and any files, and keep name, type and bytes of files until the handler runs. */
export const parsersOfAnything: readonly Parser[] = [
  expressMemory,
  {
    platform: 'express',
    name: 'AnyFilesInterceptor, on disk',
    interceptors: () => [express.AnyFilesInterceptor({ dest: folder })],
  },
  {
    platform: 'express',
    name: 'multer as a middleware, in memory',
    prepare: (app) => void app.use(multer().any()),
  },
  {
    platform: 'express',
    name: 'multer as a middleware, on disk',
    prepare: (app) => void app.use(multer({ dest: folder }).any()),
  },
  fastifyMemory,
  {
    platform: 'fastify',
    name: 'AnyFilesInterceptor, on disk',
    interceptors: () => [fastify.AnyFilesInterceptor({ dest: folder })],
  },
  {
    platform: 'fastify',
    name: 'attachFieldsToBody: true',
    prepare: register({ attachFieldsToBody: true }),
  },
  {
    platform: 'fastify',
    name: 'saveRequestFiles() in an interceptor',
    interceptors: () => [new SaveRequestFiles()],
    prepare: register({}),
  },
];

/** It gives handlers the bare bytes of files, without name and type. */
export const keyValues: Parser = {
  platform: 'fastify',
  name: "attachFieldsToBody: 'keyValues'",
  prepare: register({ attachFieldsToBody: 'keyValues' }),
};

const names = { express, fastify };

/** Those that take files in certain fields alone. */
export const parsersOfSome: readonly (Parser & { readonly files: readonly string[] })[] = (
  ['express', 'fastify'] as const
).flatMap((platform) => {
  const { FileInterceptor, FilesInterceptor, FileFieldsInterceptor } = names[platform];
  return [undefined, folder].flatMap((dest) => {
    const options = dest === undefined ? {} : { dest };
    const where = dest === undefined ? 'in memory' : 'on disk';
    return [
      {
        platform,
        name: `FileInterceptor, ${where}`,
        interceptors: () => [FileInterceptor('one', options)],
        files: ['one'],
      },
      {
        platform,
        name: `FilesInterceptor, ${where}`,
        interceptors: () => [FilesInterceptor('many', 3, options)],
        files: ['many', 'many'],
      },
      {
        platform,
        name: `FileFieldsInterceptor, ${where}`,
        interceptors: () => [FileFieldsInterceptor([{ name: 'one' }, { name: 'two', maxCount: 2 }], options)],
        files: ['one', 'two', 'two'],
      },
    ];
  });
});

/** Those that take no files. */
export const parsersOfFields: readonly Parser[] = (['express', 'fastify'] as const).map((platform) => ({
  platform,
  name: 'NoFilesInterceptor',
  interceptors: () => [names[platform].NoFilesInterceptor()],
}));

export const label = ({ platform, name }: Parser) => `on ${platform} with ${name}`;
