export const STORAGES = ['memory', 'redis', 'typeorm'] as const;
export const PLATFORMS = ['express', 'fastify'] as const;

export type StorageName = (typeof STORAGES)[number];
export type Platform = (typeof PLATFORMS)[number];

/** What the environment decides: see `readConfig` for the variables. */
export interface AppConfig {
  readonly port: number;
  readonly platform: Platform;
  /** Where the idempotency records live. */
  readonly storage: StorageName;
  /** `undefined`: the embedded PostgreSQL. */
  readonly databaseUrl: string | undefined;
  /** Only read when `storage` is `redis`. */
  readonly redisUrl: string;
  /** Where the embedded PostgreSQL keeps its data. */
  readonly dataDir: string;
}
