import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChildApp, type ChildApp } from '../../support/child-app.js';
import type { ClientSpec, Library } from './clients.js';

export interface EffectsApps {
  readonly urls: readonly string[];
  readonly effectsFile: string;
  readonly apps: readonly ChildApp[];
  stop(): Promise<void>;
}

/**
 * Two processes that share a storage and the file of their effects: one on Express with a client of `redis`, the other one
 * on Fastify with a client of `ioredis`.
 */
export async function startEffectsApps(
  client: Pick<ClientSpec, 'kind' | 'ports'>,
  storage: object = {},
  options: object = {},
): Promise<EffectsApps> {
  const dir = mkdtempSync(join(tmpdir(), 'test-effects-'));
  const effectsFile = join(dir, 'effects');
  writeFileSync(effectsFile, '');
  const env = {
    EFFECTS: effectsFile,
    STORAGE: JSON.stringify(storage),
    OPTIONS: JSON.stringify(options),
  };
  const start = (PLATFORM: string, library: Library) => {
    const CLIENT = JSON.stringify({ ...client, library });
    return startChildApp('test/faults/redis/effects-process.ts', { ...env, PLATFORM, CLIENT });
  };
  const apps = await Promise.all([start('express', 'redis'), start('fastify', 'ioredis')]);
  return {
    apps,
    effectsFile,
    urls: apps.map(({ url }) => url),
    async stop() {
      await Promise.all(apps.map((app) => app.stop()));
      rmSync(dir, { recursive: true });
    },
  };
}
