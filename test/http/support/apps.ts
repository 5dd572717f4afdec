import { afterEach } from '@jest/globals';
import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import { IdempotencyModule, type IdempotencyModuleOptions } from 'nestjs-idempotent';
import { startApp, type Platform, type RunningApp } from '../../support/apps.js';

export { platforms, type RunningApp } from '../../support/apps.js';

export interface AppOptions extends ModuleMetadata {
  /** Options of `IdempotencyModule.forRoot()`. */
  readonly options?: IdempotencyModuleOptions;
  /** Runs before `init()`. */
  readonly prepare?: (app: INestApplication) => Promise<void> | void;
}

const running: RunningApp[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((app) => app.close()));
});

/** An app with the library in it, on loopback, closed after the test. */
export async function start(
  platform: Platform,
  { options, prepare, ...module }: AppOptions,
): Promise<RunningApp> {
  const imports = [...(module.imports ?? []), IdempotencyModule.forRoot(options ?? {})];
  return startWith(platform, { ...module, imports }, prepare);
}

/** The same, with modules of the test's own choice. */
export async function startWith(
  platform: Platform,
  module: ModuleMetadata,
  prepare?: AppOptions['prepare'],
): Promise<RunningApp> {
  const app = await startApp(platform, module, prepare);
  running.push(app);
  return app;
}
