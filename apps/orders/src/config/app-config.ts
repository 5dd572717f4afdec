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
  /** An order and the record of its key are committed together. Only where both live in one database. */
  readonly transactional: boolean;
  /** How long a crash keeps its key busy, as the library takes it; `undefined`: the library's default. */
  readonly lease: string | undefined;
  /** `undefined`: the embedded PostgreSQL. */
  readonly databaseUrl: string | undefined;
  /** Only read when `storage` is `redis`. */
  readonly redisUrl: string;
  /** `undefined`: a payment service of our own, in a process of its own. */
  readonly paymentsUrl: string | undefined;
  /** A RabbitMQ; `undefined`: messages stay inside this process. */
  readonly amqpUrl: string | undefined;
  /** Where the embedded PostgreSQL, our own payment service and the mails are. */
  readonly dataDir: string;
}
