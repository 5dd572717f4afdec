import 'reflect-metadata';
import { RequestMethod } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import { nameOf, type DecoratedMethod } from './decorated-methods.js';
import { optionsOf } from './entries.js';
import { NEST_METADATA } from './tokens.js';

/** @throws InvalidOptionsError when two routes would share their records */
export function checkOperationNames(methods: readonly DecoratedMethod[], config: ApplicationConfig): void {
  const named = new Map<string, DecoratedMethod>();
  for (const decorated of methods) {
    const { operation } = optionsOf(decorated.entry);
    if (operation === undefined) continue;
    const other = named.get(operation);
    if (other !== undefined) throw sameName(other, decorated, operation);
    named.set(operation, decorated);
  }
  for (const decorated of methods) {
    if (optionsOf(decorated.entry).operation !== undefined) continue;
    for (const operation of routesOf(decorated, config)) {
      const other = named.get(operation);
      if (other !== undefined) throw sameName(other, decorated, operation);
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
