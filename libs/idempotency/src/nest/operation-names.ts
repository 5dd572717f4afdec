import 'reflect-metadata';
import { RequestMethod } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import { nameOf, type DecoratedMethod } from './decorated-methods.js';
import { boundTransportOf, fieldNameOf, messageEndpointOf, TRANSPORT_NAMES } from './contexts/endpoints.js';
import { optionsOf } from './entries.js';
import { NEST_METADATA } from './tokens.js';
import { transportsOf, type Transport } from './transports.js';

/** One name of a decorated method, and what it is compared by. */
interface Name {
  readonly decorated: DecoratedMethod;
  readonly operation: string;
  /** It was given by the decorator, and not derived. */
  readonly given: boolean;
  readonly transports: readonly Transport[];
}

/**
 * A route and a consumer may be given one name, to share their records. Nothing else may.
 *
 * @throws InvalidOptionsError when two methods would share their records
 */
export function checkOperationNames(methods: readonly DecoratedMethod[], config: ApplicationConfig): void {
  const known = new Map<string, Name[]>();
  const names = methods.flatMap((decorated) => namesOf(decorated, config));
  for (const name of [...names.filter(({ given }) => given), ...names.filter(({ given }) => !given)]) {
    const others = known.get(name.operation) ?? [];
    const clash = others.find((other) => other.decorated !== name.decorated && !mayShare(other, name));
    if (clash !== undefined) throw sameName(clash.decorated, name.decorated, name.operation);
    known.set(name.operation, [...others, name]);
  }
}

/** Routes that differ by host or version have one path here; what tells them apart is not known before they are called. */
function mayShare(one: Name, other: Name): boolean {
  if (!one.given && !other.given) return isRoute(one) && isRoute(other);
  return one.given && other.given && isRoute(one) !== isRoute(other);
}

function isRoute({ transports }: Name): boolean {
  return transports.includes('http');
}

function namesOf(decorated: DecoratedMethod, config: ApplicationConfig): Name[] {
  const { operation } = optionsOf(decorated.entry);
  const transports = transportsOf(decorated);
  if (operation !== undefined) return [{ decorated, operation, given: true, transports }];
  return transports.flatMap((transport) =>
    derived(decorated, transport, config).map((name) => ({
      decorated,
      operation: name,
      given: false,
      transports: [transport],
    })),
  );
}

/** The names that a method gets by itself, as far as its decorators tell. */
function derived(
  decorated: DecoratedMethod,
  transport: Transport,
  config: ApplicationConfig,
): readonly string[] {
  switch (transport) {
    case 'http':
      return routesOf(decorated, config);
    case 'graphql':
      return [fieldNameOf(decorated)];
    case 'ws':
      return messageEndpointOf(decorated, 'ws').names.map((name) => `ws ${name}`);
    case 'rpc': {
      // A pattern that is bound to no transport may come by any of them.
      const bound = boundTransportOf(decorated);
      const all = bound === undefined ? TRANSPORT_NAMES : [bound];
      return messageEndpointOf(decorated, 'rpc').names.flatMap((name) => all.map((by) => `${by} ${name}`));
    }
  }
}

function sameName(one: DecoratedMethod, other: DecoratedMethod, operation: string): InvalidOptionsError {
  return new InvalidOptionsError(
    `@Idempotent(): ${nameOf(one)} and ${nameOf(other)} have the same \`operation\` '${operation}', so one's key would meet the other's record. Give each a name of its own.`,
  );
}

/** The names that a route gets by itself, as far as its decorators tell: without RouterModule and versions. */
function routesOf({ metatype, method }: DecoratedMethod, config: ApplicationConfig): string[] {
  const verb = RequestMethod[Reflect.getMetadata(NEST_METADATA.method, method) as RequestMethod];
  const outer = listOf(Reflect.getMetadata(NEST_METADATA.path, metatype));
  const inner = listOf(Reflect.getMetadata(NEST_METADATA.path, method));
  return outer.flatMap((start) =>
    inner.map((end) => `${verb} ${joined(config.getGlobalPrefix(), start, end)}`),
  );
}

function listOf(path: unknown): string[] {
  return (Array.isArray(path) ? path : [path]).filter((item): item is string => typeof item === 'string');
}

function joined(...parts: readonly string[]): string {
  const names = parts.flatMap((part) => part.split('/')).filter((name) => name !== '');
  return `/${names.join('/')}`;
}
