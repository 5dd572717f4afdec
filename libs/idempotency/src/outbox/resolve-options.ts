import { durationMs, inWords, PLAIN_NUMBER_LIMIT_S } from '../core/duration.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { OutboxOptions, OutboxRelayOptions, OutboxRetryOptions } from './options.js';
import { envelopeOf, publishBy, type PublishOutboxMessage } from './publish.js';

/** Every default, once. The tables in docs/outbox.md are held to it by a test. */
export const DEFAULTS = {
  pollEvery: '1s',
  batchSize: 100,
  concurrency: 10,
  lease: '30s',
  publishTimeout: '10s',
  attempts: 300,
  delay: '1s',
  maxDelay: '5m',
  keepDelivered: '7d',
  purgeEvery: '10m',
} as const;

const OPTIONS: readonly string[] = [
  'dataSource',
  'table',
  'client',
  'publish',
  'toPacket',
  'relay',
  'retry',
  'keepDelivered',
  'purgeEvery',
] satisfies (keyof OutboxOptions)[];
const RELAY_OPTIONS: readonly string[] = [
  'pollEvery',
  'batchSize',
  'concurrency',
  'lease',
  'publishTimeout',
] satisfies (keyof OutboxRelayOptions)[];
const RETRY_OPTIONS: readonly string[] = [
  'attempts',
  'delay',
  'maxDelay',
] satisfies (keyof OutboxRetryOptions)[];

/** What a relay goes by; durations in milliseconds. */
export interface RelayTerms {
  readonly pollEveryMs: number;
  readonly batchSize: number;
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly publishTimeoutMs: number;
  readonly attempts: number;
  readonly delayMs: number;
  readonly maxDelayMs: number;
}

export interface ResolvedOptions extends Pick<OutboxOptions, 'dataSource' | 'table'> {
  /** `undefined` in processes that only add. */
  readonly publish: PublishOutboxMessage | undefined;
  /** Whether this process has a relay of its own. */
  readonly relays: boolean;
  readonly terms: RelayTerms;
  readonly keepDeliveredMs: number;
  readonly purgeEveryMs: number | undefined;
}

/** Far below what Node's timers can count: past that they fire at once. */
const LONGEST_LEASE_MS = 86_400_000;

/** @throws InvalidOptionsError that names the option and the mend */
export function resolveOptions(options: OutboxOptions): ResolvedOptions {
  known('', options, OPTIONS);
  const { dataSource, table } = options;
  const relay = options.relay ?? {};
  const relays = relay !== false;
  const retry = shaped('retry', options.retry ?? {});
  known('retry.', retry, RETRY_OPTIONS);
  const purgeEvery = options.purgeEvery ?? DEFAULTS.purgeEvery;
  // Not `instanceof`: the application may have a copy of TypeORM of its own.
  if (dataSource !== undefined && typeof dataSource?.isInitialized !== 'boolean')
    throw refused('`dataSource` is not a DataSource. Leave it out where the application has one');
  if (table !== undefined && typeof table !== 'string')
    throw refused("`table` is not a name, such as 'outbox_messages' or 'app.outbox_messages'");
  return {
    dataSource,
    table,
    publish: publisherOf(options, relays),
    relays,
    terms: termsOf(relays ? shaped('relay', relay) : {}, retry),
    keepDeliveredMs: durationMs('keepDelivered', options.keepDelivered ?? DEFAULTS.keepDelivered),
    purgeEveryMs: purgeEvery === false ? undefined : durationMs('purgeEvery', purgeEvery),
  };
}

function termsOf(relay: OutboxRelayOptions, retry: OutboxRetryOptions): RelayTerms {
  known('relay.', relay, RELAY_OPTIONS);
  const { lease: leaseLimit, waitTimeout: shortLimit, maxRun: longLimit } = PLAIN_NUMBER_LIMIT_S;
  const terms = {
    pollEveryMs: durationMs('relay.pollEvery', relay.pollEvery ?? DEFAULTS.pollEvery, leaseLimit),
    batchSize: count('relay.batchSize', relay.batchSize ?? DEFAULTS.batchSize),
    concurrency: count('relay.concurrency', relay.concurrency ?? DEFAULTS.concurrency),
    leaseMs: durationMs('relay.lease', relay.lease ?? DEFAULTS.lease, leaseLimit),
    publishTimeoutMs: durationMs(
      'relay.publishTimeout',
      relay.publishTimeout ?? DEFAULTS.publishTimeout,
      shortLimit,
    ),
    attempts: count('retry.attempts', retry.attempts ?? DEFAULTS.attempts),
    delayMs: durationMs('retry.delay', retry.delay ?? DEFAULTS.delay, leaseLimit),
    maxDelayMs: durationMs('retry.maxDelay', retry.maxDelay ?? DEFAULTS.maxDelay, longLimit),
  };
  const { leaseMs, publishTimeoutMs, delayMs, maxDelayMs } = terms;
  if (leaseMs <= publishTimeoutMs) {
    throw refused(
      `\`relay.lease\` (${inWords(leaseMs)}) is not longer than \`relay.publishTimeout\` (${inWords(publishTimeoutMs)}): nothing could be published within it. Raise \`lease\` or lower \`publishTimeout\``,
    );
  }
  if (leaseMs > LONGEST_LEASE_MS) {
    throw refused(
      `\`relay.lease\` (${inWords(leaseMs)}) is longer than ${inWords(LONGEST_LEASE_MS)}: what a relay that dies had taken would wait as long. Lower it`,
    );
  }
  if (maxDelayMs < delayMs) {
    throw refused(
      `\`retry.maxDelay\` (${inWords(maxDelayMs)}) is shorter than \`retry.delay\` (${inWords(delayMs)}). Raise \`maxDelay\` or lower \`delay\``,
    );
  }
  return terms;
}

function publisherOf(
  { client, publish, toPacket }: OutboxOptions,
  relays: boolean,
): PublishOutboxMessage | undefined {
  if (client !== undefined && publish !== undefined)
    throw refused('`client` and `publish` are both given, and one of them would never be asked. Give one');
  if (toPacket !== undefined && typeof toPacket !== 'function')
    throw refused('`toPacket` must be a function that makes of a message what the client emits');
  if (client !== undefined) {
    if (typeof (client as { emit?: unknown } | null)?.emit === 'function')
      return publishBy(client, toPacket ?? envelopeOf);
    throw refused(
      '`client` is not a ClientProxy: it has no `emit()`. Inject one with `forRootAsync({ inject, useFactory })`',
    );
  }
  if (toPacket !== undefined)
    throw refused(
      '`toPacket` is what `client` emits, and there is no `client`. Add it, or remove `toPacket`',
    );
  if (publish !== undefined && typeof publish !== 'function')
    throw refused('`publish` must be a function that sends a message on its way');
  if (publish === undefined && relays) {
    throw refused(
      'neither `client` nor `publish` is given, so nothing would ever be sent. Give one; or `relay: false`, if another process relays what this one adds',
    );
  }
  return publish;
}

function shaped<T extends object>(name: string, value: T): T {
  if (typeof value === 'object' && value !== null) return value;
  throw refused(`\`${name}\` must be an object of options${name === 'relay' ? ', or false' : ''}`);
}

function known(prefix: string, options: object, names: readonly string[]): void {
  const strange = Object.keys(options).find((name) => !names.includes(name));
  if (strange === undefined) return;
  const list = names.map((name) => `\`${prefix}${name}\``).join(', ');
  throw refused(`\`${prefix}${strange}\` is not an option here. Known are ${list}`);
}

function count(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value;
  throw refused(`\`${name}\` must be a whole number, 1 or more`);
}

function refused(what: string): InvalidOptionsError {
  return new InvalidOptionsError(`OutboxModule: ${what}.`);
}
