import 'reflect-metadata';
import { VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import type { Entry } from './entries.js';
import { resolveOptions, type ResolvedOptions } from './resolve-options.js';
import type { OperationOptions } from './options.js';
import type { Method } from './stand-in.js';
import { NEST_METADATA } from './tokens.js';

/** Everything about one decorated route that does not change from request to request. */
export interface HandlerPlan {
  /** For messages: `@Idempotent() on OrdersController.create`. */
  readonly where: string;
  readonly standIn: Method;
  readonly options: ResolvedOptions;
  /** Covered by a class decorator, so only requests that change something. */
  readonly byClass: boolean;
  /** What versioning adds to the operation when it is not part of the path: ` v2`. */
  readonly versionSuffix: string;
  /** Nest leaves the response to the handler: it injects `@Res()` or `@Next()` without passthrough. */
  readonly answersItself: boolean;
}

export function planFor(
  metatype: { readonly name: string },
  name: string | symbol,
  entry: Entry,
  method: Method,
  module: OperationOptions,
  config: ApplicationConfig | undefined,
): HandlerPlan {
  const where = `@Idempotent() on ${metatype.name}.${String(name)}`;
  const options = resolveOptions(where, module, Object.assign({}, ...entry.options.map(defined)) as object);
  return {
    where,
    standIn: entry.standIn,
    options,
    byClass: entry.byClass,
    versionSuffix: versionSuffix(metatype, method, config),
    answersItself: answersItself(metatype, name),
  };
}

/** The options that are really given: an explicit `undefined` overrides nothing. */
function defined(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function versionSuffix(metatype: object, method: Method, config: ApplicationConfig | undefined): string {
  const versioning = config?.getVersioning();
  if (versioning === undefined || versioning.type === VersioningType.URI) return '';
  const version: unknown =
    Reflect.getMetadata(NEST_METADATA.version, method) ??
    Reflect.getMetadata(NEST_METADATA.version, metatype) ??
    versioning.defaultVersion;
  if (version === undefined || version === VERSION_NEUTRAL) return '';
  const names = (Array.isArray(version) ? version : [version]) as unknown[];
  return ` v${names.map((item) => (item === VERSION_NEUTRAL ? 'neutral' : String(item))).join(',')}`;
}

const RESPONSE = 1;
const NEXT = 2;

/** The same question that Nest asks before it sends a handler's value. */
function answersItself(metatype: object, name: string | symbol): boolean {
  const parameters = Reflect.getMetadata(NEST_METADATA.routeArguments, metatype, name) as
    Record<string, { data?: { passthrough?: boolean } }> | undefined;
  return Object.entries(parameters ?? {}).some(([key, { data }]) => {
    const type = Number(key.split(':')[0]);
    return (type === RESPONSE || type === NEXT) && data?.passthrough !== true;
  });
}
