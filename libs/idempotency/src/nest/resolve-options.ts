import { durationMs, PLAIN_NUMBER_LIMIT_S } from '../core/duration.js';
import { InvalidOptionsError } from '../core/errors.js';
import { headerFilter } from '../http/replayable-headers.js';
import { defaultRecordPolicy } from '../http/retention.js';
import { headerKey, isNamedKeySource, type KeySource } from './key-sources.js';
import type { IdempotentOptions, OperationOptions } from './options.js';

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
] as const satisfies readonly (keyof OperationOptions)[];

const MODULE_OPTIONS: readonly string[] = [
  ...OPERATION_OPTIONS,
  'namespace',
  'storage',
  'interceptor',
  'docsUrl',
];
const DECORATOR_OPTIONS: readonly string[] = [...OPERATION_OPTIONS, 'operation', 'transactional'];

/** Options as the code uses them: defaults filled in, durations in milliseconds. */
export type ResolvedOptions = ReturnType<typeof resolveOptions>;

/** @param where how messages name the place, for example `@Idempotent() on OrdersController.create` */
export function resolveOptions(where: string, module: OperationOptions, decorator: IdempotentOptions) {
  // Not by spreading: an explicit `undefined` would win over a default.
  const of = <K extends keyof OperationOptions>(name: K): OperationOptions[K] =>
    decorator[name] ?? module[name];
  return at(where, () => {
    const key = of('key') ?? DEFAULTS.key;
    const keys = (Array.isArray(key) ? key : [key]) as readonly KeySource[];
    if (
      keys.length === 0 ||
      !keys.every((source) => typeof source === 'function' || isNamedKeySource(source))
    ) {
      throw new InvalidOptionsError(
        '`key` must be headerKey(), bodyKey(), paramKey(), messageKey(), a function, or a list of these.',
      );
    }
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
      keys,
      required: flag('required', of('required') ?? DEFAULTS.required),
      keyFormat: of('keyFormat'),
      scope: of('scope'),
      fingerprint: of('fingerprint'),
      inFlight: oneOf('inFlight', of('inFlight') ?? DEFAULTS.inFlight, ['reject', 'wait']),
      record: of('record') ?? defaultRecordPolicy,
      keepsHeader: headerFilter(of('replayHeaders')),
      maxResponseBytes: wholeNumber('maxResponseBytes', of('maxResponseBytes') ?? DEFAULTS.maxResponseBytes),
      replayWith: of('replayWith'),
      onStorageFailure: oneOf('onStorageFailure', of('onStorageFailure') ?? DEFAULTS.onStorageFailure, [
        'reject',
        'run',
      ]),
      recover: of('recover'),
      onAbandoned: oneOf('onAbandoned', of('onAbandoned') ?? DEFAULTS.onAbandoned, ['rerun', 'refuse']),
    };
    contradictions(options);
    shapes(options);
    return options;
  });
}

export function checkModuleOptionNames(options: object): void {
  at('IdempotencyModule', () => known(options, MODULE_OPTIONS));
}

export function checkDecoratorOptionNames(where: string, options: object): void {
  at(where, () => known(options, DECORATOR_OPTIONS));
}

type Checked = {
  maxRunMs: number;
  leaseMs: number;
  storageTimeoutMs: number;
  required: boolean;
  keyFormat?: unknown;
  scope?: unknown;
};

function contradictions({ maxRunMs, leaseMs, storageTimeoutMs }: Checked): void {
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
}

function shapes(options: {
  keyFormat?: unknown;
  scope?: unknown;
  fingerprint?: unknown;
  record?: unknown;
  replayWith?: unknown;
  recover?: unknown;
  operation?: unknown;
}): void {
  for (const name of ['scope', 'record', 'replayWith', 'recover'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'function') {
      throw new InvalidOptionsError(`\`${name}\` is ${shown(options[name])}; it must be a function.`);
    }
  }
  const { keyFormat, fingerprint, operation } = options;
  const isFormat =
    keyFormat === 'uuid' ||
    keyFormat === 'strong' ||
    keyFormat instanceof RegExp ||
    typeof keyFormat === 'function';
  if (keyFormat !== undefined && !isFormat) {
    throw new InvalidOptionsError(
      `\`keyFormat\` is ${shown(keyFormat)}; it must be 'uuid', 'strong', a RegExp or a function.`,
    );
  }
  if (
    fingerprint !== undefined &&
    fingerprint !== false &&
    typeof fingerprint !== 'function' &&
    !isSelection(fingerprint)
  ) {
    throw new InvalidOptionsError(
      `\`fingerprint\` is ${shown(fingerprint)}; it must be { include: [...] } or { exclude: [...] } with paths of the body, a function, or false.`,
    );
  }
  if (
    operation !== undefined &&
    (typeof operation !== 'string' || operation.trim() === '' || operation.length > 200)
  ) {
    throw new InvalidOptionsError(
      `\`operation\` is ${shown(operation)}; it must be a name of 1 to 200 characters.`,
    );
  }
}

function isSelection(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const [[name, paths] = [], ...more] = Object.entries(value) as [string, unknown][];
  return (
    more.length === 0 &&
    (name === 'include' || name === 'exclude') &&
    Array.isArray(paths) &&
    paths.length > 0
  );
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

function oneOf<const T extends string>(option: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((item) => item === value);
  if (found !== undefined) return found;
  throw new InvalidOptionsError(
    `\`${option}\` is ${shown(value)}; it must be ${allowed.map((item) => `'${item}'`).join(' or ')}.`,
  );
}

function flag(option: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new InvalidOptionsError(`\`${option}\` is ${shown(value)}; it must be true or false.`);
}

function wholeNumber(option: string, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new InvalidOptionsError(
    `\`${option}\` is ${shown(value)}; it must be a whole number of bytes, 0 or more.`,
  );
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  return typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : `a value of type ${typeof value}`;
}

function at<T>(where: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof InvalidOptionsError) throw new InvalidOptionsError(`${where}: ${error.message}`);
    throw error;
  }
}
