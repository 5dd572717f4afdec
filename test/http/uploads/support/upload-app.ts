import {
  applyDecorators,
  Controller,
  Post,
  Req,
  UseInterceptors,
  type INestApplication,
  type ModuleMetadata,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import {
  Idempotent,
  IdempotentOp,
  IdempotentOperation,
  type IdempotencyModuleOptions,
  type IdempotentOptions,
} from 'nestjs-idempotent';
import { start, type RunningApp } from '../../support/apps.js';
import type { Platform } from '../../../support/apps.js';
import { received, type Received } from './received.js';

/** A way to have multipart bodies parsed. */
export interface Parser {
  readonly platform: Platform;
  readonly name: string;
  /** Inside of ours. */
  readonly interceptors?: () => readonly (Type<NestInterceptor> | NestInterceptor)[];
  /** Before `init()`: middlewares and plugins. */
  readonly prepare?: (app: INestApplication) => Promise<void> | void;
}

export type UploadHandler = (upload: Received, op: IdempotentOperation) => unknown;

export interface UploadApp {
  readonly handler?: UploadHandler;
  readonly options?: IdempotentOptions;
  readonly module?: IdempotencyModuleOptions;
  readonly decorators?: readonly MethodDecorator[];
  readonly metadata?: ModuleMetadata;
  /** Gathers what is warned of, and errors. */
  readonly log?: string[];
}

/** `POST /files`, parsed in this way, which answers what its handler found unless the test says otherwise. */
export function startUploads(
  { platform, interceptors = () => [], prepare }: Parser,
  { handler = (upload) => upload, options = {}, module = {}, decorators = [], metadata, log = [] }: UploadApp,
): Promise<RunningApp> {
  @Controller('files')
  class FilesController {
    @Post()
    @Idempotent(options)
    @UseInterceptors(...interceptors())
    @applyDecorators(...decorators)
    async upload(@Req() request: object, @IdempotentOp() op: IdempotentOperation): Promise<unknown> {
      return handler(await received(request), op);
    }
  }
  return start(platform, {
    ...metadata,
    controllers: [FilesController],
    options: module,
    prepare: async (app) => {
      const line = (text: unknown) => void log.push(String(text));
      app.useLogger({ log: () => {}, warn: line, error: line });
      await prepare?.(app);
    },
  });
}
