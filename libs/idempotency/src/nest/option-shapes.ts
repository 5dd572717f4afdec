import { InvalidOptionsError } from '../core/errors.js';
import type { ReplayHeaders } from '../http/replayable-headers.js';
import { bodyKey, headerKey, isNamedKeySource, messageKey, paramKey, type KeySource } from './key-sources.js';

/** @throws InvalidOptionsError for a value of the wrong kind */
export function checkShapes(options: {
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
  if (operation !== undefined) checkOperation(operation);
}

export function checkOperation(operation: unknown): void {
  if (typeof operation === 'string' && operation.trim() !== '' && operation.length <= 200) return;
  throw new InvalidOptionsError(
    `\`operation\` is ${shown(operation)}; it must be a name of 1 to 200 characters.`,
  );
}

/** Makers of sources, written without a call: each is a function, and so is a source of the user's own. */
const MAKERS: readonly unknown[] = [headerKey, bodyKey, paramKey, messageKey];

export function keySources(key: unknown): readonly KeySource[] {
  const sources = (Array.isArray(key) ? key : [key]) as readonly unknown[];
  const forgotten = sources.find((source) => MAKERS.includes(source)) as { name: string } | undefined;
  if (forgotten !== undefined) {
    throw new InvalidOptionsError(
      `\`key\` is ${forgotten.name} itself. Call it: \`key: ${forgotten.name}('…')\` with the name of what holds the key.`,
    );
  }
  const areSources = sources.every((source) => typeof source === 'function' || isNamedKeySource(source));
  if (sources.length === 0 || !areSources) {
    throw new InvalidOptionsError(
      '`key` must be headerKey(), bodyKey(), paramKey(), messageKey(), a function, or a list of these.',
    );
  }
  for (const source of sources as readonly KeySource[]) if (typeof source !== 'function') checkName(source);
  return sources as readonly KeySource[];
}

function checkName({ from, name }: { from: string; name: unknown }): void {
  // RFC 9110 section 5.1; the others name a member.
  const wellFormed = from === 'header' ? /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/ : /./;
  if (typeof name === 'string' && wellFormed.test(name)) return;
  throw new InvalidOptionsError(
    `\`key\`: ${from}Key(${typeof name === 'string' ? `'${name}'` : typeof name}) names nothing that a request could hold. Give the name of the ${from === 'header' ? 'header' : 'member'}.`,
  );
}

export function replayHeaders(option: ReplayHeaders | undefined): ReplayHeaders | undefined {
  if (option === undefined || typeof option === 'function') return option;
  const isList = (value: unknown) =>
    value === undefined || (Array.isArray(value) && value.every((name) => typeof name === 'string'));
  const { include, exclude, ...more } =
    typeof option === 'object' && option !== null ? option : { wrong: option };
  if (isList(include) && isList(exclude) && Object.keys(more).length === 0 && !Array.isArray(option))
    return option;
  throw new InvalidOptionsError(
    `\`replayHeaders\` is ${shown(option)}; it must be { include: [...] } or { exclude: [...] } with names of headers, or a function.`,
  );
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

export function oneOf<const T extends string>(option: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((item) => item === value);
  if (found !== undefined) return found;
  throw new InvalidOptionsError(
    `\`${option}\` is ${shown(value)}; it must be ${allowed.map((item) => `'${item}'`).join(' or ')}.`,
  );
}

export function flag(option: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new InvalidOptionsError(`\`${option}\` is ${shown(value)}; it must be true or false.`);
}

export function wholeNumber(option: string, value: unknown): number {
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
