import { join, resolve } from 'node:path';
import { PLATFORMS, STORAGES } from './app-config.js';
import type { AppConfig } from './app-config.js';
import { StartError } from './start-error.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * | variable              | default                  | meaning                                          |
 * |-----------------------|--------------------------|--------------------------------------------------|
 * | `PORT`                | `3000`                   | where to listen, on the loopback interface       |
 * | `PLATFORM`            | `express`                | or `fastify`                                     |
 * | `IDEMPOTENCY_STORAGE` | `typeorm`                | or `redis`, `memory`: where the records live     |
 * | `DATABASE_URL`        | the embedded PostgreSQL  | `postgres://user:password@host:port/database`    |
 * | `REDIS_URL`           | `redis://127.0.0.1:6379` | used with `IDEMPOTENCY_STORAGE=redis`            |
 * | `DATA_DIR`            | `.data` in the checkout  | where the embedded PostgreSQL keeps its data     |
 */
export function readConfig(env: Environment, checkout: string): AppConfig {
  return {
    port: readPort(env),
    platform: readChoice(env, 'PLATFORM', PLATFORMS, 'express'),
    storage: readChoice(env, 'IDEMPOTENCY_STORAGE', STORAGES, 'typeorm'),
    databaseUrl: readUrl(env, 'DATABASE_URL', ['postgres:', 'postgresql:']),
    redisUrl: readUrl(env, 'REDIS_URL', ['redis:', 'rediss:']) ?? 'redis://127.0.0.1:6379',
    dataDir: read(env, 'DATA_DIR') ? resolve(checkout, read(env, 'DATA_DIR')!) : join(checkout, '.data'),
  };
}

/** Set to nothing counts as not set: that is how shells and compose files switch a variable off. */
function read(env: Environment, name: string): string | undefined {
  return env[name]?.trim() || undefined;
}

function readPort(env: Environment): number {
  const value = read(env, 'PORT') ?? '3000';
  if (!/^\d{1,5}$/.test(value) || Number(value) > 65_535) {
    throw new StartError(
      `PORT is '${value}'. It must be a whole number from 0 to 65535; 0 takes any free port.`,
    );
  }
  return Number(value);
}

function readChoice<T extends string>(env: Environment, name: string, allowed: readonly T[], fallback: T): T {
  const value = read(env, name) ?? fallback;
  const choice = allowed.find((each) => each === value);
  if (choice === undefined) {
    throw new StartError(
      `${name} is '${value}'. It must be one of ${allowed.join(', ')}; without it, ${fallback}.`,
    );
  }
  return choice;
}

function readUrl(env: Environment, name: string, protocols: readonly string[]): string | undefined {
  const value = read(env, name);
  if (value === undefined) return undefined;
  if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol)) {
    const starts = protocols.map((protocol) => `${protocol}//`).join(' or ');
    throw new StartError(
      `${name} is '${withoutPassword(value)}'. It must be a URL that starts with ${starts}.`,
    );
  }
  return value;
}

/** For messages: what stands between a user's colon and the last @ is nobody's business. */
export function withoutPassword(url: string): string {
  return url.replace(/(\/\/[^/:@]*):.*@/, '$1:…@');
}
