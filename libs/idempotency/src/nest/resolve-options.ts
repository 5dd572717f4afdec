import { durationMs, PLAIN_NUMBER_LIMIT_S } from '../core/duration.js';
import { InvalidOptionsError } from '../core/errors.js';
import { headerFilter } from '../http/replayable-headers.js';
import { defaultRecordPolicy } from '../http/retention.js';
import { codecOf } from './codec-option.js';
import { headerKey, type KeySource } from './key-sources.js';
import { localCacheOf } from './local-cache-option.js';
import { checkShapes, flag, keySources, oneOf, replayHeaders, wholeNumber } from './option-shapes.js';
import type { IdempotentOptions, OperationOptions } from './options.js';
import { transactionalOf } from './transactional-option.js';

/** Every default, once. The table in docs/options.md is held to it by a test. */
export const DEFAULTS = {
  ttl: '24h',
  key: [headerKey('Idempotency-Key')] as readonly KeySource[],
  required: true,
  inFlight: 'reject',
  waitTimeout: '5s',
  lease: '30s',
  maxRun: '10m',
  maxResponseBytes: 1_048_576,
  onStorageFailure: 'reject',
  storageTimeout: '1s',
  onAbandoned: 'rerun',
  localCache: false,
  transactional: false,
} as const;

const OPERATION_OPTIONS = [
  'ttl',
  'key',
  'required',
  'keyFormat',
  'scope',
  'fingerprint',
  'inFlight',
  'waitTimeout',
  'lease',
  'maxRun',
  'record',
  'replayHeaders',
  'maxResponseBytes',
  'replayWith',
  'onStorageFailure',
  'storageTimeout',
  'recover',
  'onAbandoned',
  'codec',
  'localCache',
  'transactional',
] as const satisfies readonly (keyof OperationOptions)[];

const MODULE_OPTIONS: readonly string[] = [
  ...OPERATION_OPTIONS,
  'namespace',
  'storage',
  'interceptor',
  'docsUrl',
];
const DECORATOR_OPTIONS: readonly string[] = [...OPERATION_OPTIONS, 'operation'];

/** Options as the code uses them: defaults filled in, durations in milliseconds. */
export type ResolvedOptions = ReturnType<typeof resolveOptions>;

/**
 * @param where how messages name the place, for example `@Idempotent() on OrdersController.create`
 * @param inFlight the default for this transport
 */
export function resolveOptions(
  where: string,
  module: OperationOptions,
  decorator: IdempotentOptions,
  inFlight: 'reject' | 'wait' = DEFAULTS.inFlight,
) {
  // Not by spreading: an explicit `undefined` would win over a default.
  const of = <K extends keyof OperationOptions>(name: K): OperationOptions[K] =>
    decorator[name] ?? module[name];
  return at(where, () => {
    const options = {
      operation: decorator.operation,
      ttlMs: durationMs('ttl', of('ttl') ?? DEFAULTS.ttl, PLAIN_NUMBER_LIMIT_S.ttl),
      leaseMs: durationMs('lease', of('lease') ?? DEFAULTS.lease, PLAIN_NUMBER_LIMIT_S.lease),
      maxRunMs: durationMs('maxRun', of('maxRun') ?? DEFAULTS.maxRun, PLAIN_NUMBER_LIMIT_S.maxRun),
      waitTimeoutMs: durationMs(
        'waitTimeout',
        of('waitTimeout') ?? DEFAULTS.waitTimeout,
        PLAIN_NUMBER_LIMIT_S.waitTimeout,
      ),
      storageTimeoutMs: durationMs(
        'storageTimeout',
        of('storageTimeout') ?? DEFAULTS.storageTimeout,
        PLAIN_NUMBER_LIMIT_S.storageTimeout,
      ),
      keys: keySources(of('key') ?? DEFAULTS.key),
      required: flag('required', of('required') ?? DEFAULTS.required),
      keyFormat: of('keyFormat'),
      scope: of('scope'),
      fingerprint: of('fingerprint'),
      inFlight: oneOf('inFlight', of('inFlight') ?? inFlight, ['reject', 'wait']),
      record: of('record') ?? defaultRecordPolicy,
      keepsHeader: headerFilter(replayHeaders(of('replayHeaders'))),
      maxResponseBytes: wholeNumber('maxResponseBytes', of('maxResponseBytes') ?? DEFAULTS.maxResponseBytes),
      replayWith: of('replayWith'),
      onStorageFailure: oneOf('onStorageFailure', of('onStorageFailure') ?? DEFAULTS.onStorageFailure, [
        'reject',
        'run',
      ]),
      recover: of('recover'),
      onAbandoned: oneOf('onAbandoned', of('onAbandoned') ?? DEFAULTS.onAbandoned, ['rerun', 'refuse']),
      codec: codecOf(of('codec')),
      localCache: localCacheOf(of('localCache') ?? DEFAULTS.localCache),
    };
    checkShapes(options);
    checkContradictions(options, decorator);
    const transactional = transactionalOf(of('transactional') ?? DEFAULTS.transactional, options);
    return { ...options, transactional };
  });
}

export function checkModuleOptionNames(options: object): void {
  at('IdempotencyModule', () => known(options, MODULE_OPTIONS));
}

export function checkDecoratorOptionNames(where: string, options: object): void {
  at(where, () => known(options, DECORATOR_OPTIONS));
}

/** Options that are each right and cannot be meant together. */
function checkContradictions(
  options: { maxRunMs: number; leaseMs: number; storageTimeoutMs: number; inFlight: 'reject' | 'wait' },
  decorator: IdempotentOptions,
): void {
  const { maxRunMs, leaseMs, storageTimeoutMs } = options;
  if (maxRunMs < leaseMs) {
    throw new InvalidOptionsError(
      `\`maxRun\` (${maxRunMs} ms) is shorter than \`lease\` (${leaseMs} ms): the lease would outlive the time it may be renewed for. Raise \`maxRun\` or lower \`lease\`.`,
    );
  }
  if (storageTimeoutMs >= leaseMs) {
    throw new InvalidOptionsError(
      `\`storageTimeout\` (${storageTimeoutMs} ms) is not shorter than \`lease\` (${leaseMs} ms): a lease could end before one renewal is answered. Lower \`storageTimeout\` or raise \`lease\`.`,
    );
  }
  if (decorator.waitTimeout !== undefined && options.inFlight === 'reject') {
    throw new InvalidOptionsError(
      "`waitTimeout` is given, and `inFlight` is 'reject', so nobody would wait. Add `inFlight: 'wait'`, or remove `waitTimeout`.",
    );
  }
}

function known(options: object, names: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      throw new InvalidOptionsError(
        `\`${name}\` is not an option here. Known are ${names.map((n) => `\`${n}\``).join(', ')}.`,
      );
    }
  }
}

function at<T>(where: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof InvalidOptionsError) throw new InvalidOptionsError(`${where}: ${error.message}`);
    throw error;
  }
}
