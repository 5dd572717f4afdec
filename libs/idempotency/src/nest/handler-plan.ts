import 'reflect-metadata';
import { VERSION_NEUTRAL, VersioningType } from '@nestjs/common';
import type { ApplicationConfig } from '@nestjs/core';
import { messageEndpointOf } from './contexts/endpoints.js';
import { optionsOf } from './entries.js';
import type { DecoratedMethod } from './decorated-methods.js';
import { resolveOptions, type ResolvedOptions } from './resolve-options.js';
import type { OperationOptions } from './options.js';
import type { Method } from './stand-in.js';
import { NEST_METADATA } from './tokens.js';
import type { Transport } from './transports.js';

/** How a message handler is registered. */
export interface MessageEndpoint {
  /** Its patterns, or the one event of a gateway with its place, as text. */
  readonly names: readonly string[];
  /** Nobody waits for a reply. */
  readonly isEvent: boolean;
}

/** Everything about one way to one decorated method that does not change from request to request. */
export interface HandlerPlan {
  readonly transport: Transport;
  /** Of message handlers and gateways alone. */
  readonly message: MessageEndpoint | undefined;
  readonly standIn: Method;
  readonly options: ResolvedOptions;
  /** Covered by a class decorator, so only requests that change something. */
  readonly byClass: boolean;
  /** What tells routes of one method and path apart: ` v2`, ` @api.example.com`. */
  readonly operationSuffix: string;
  /** Nest leaves the response to the handler: it injects `@Res()` or `@Next()` without passthrough. */
  readonly answersItself: boolean;
}

/** The plans of an application's decorated methods: one for each transport that reaches a method. */
export class HandlerPlans {
  private readonly byClass = new Map<unknown, Map<unknown, HandlerPlan[]>>();

  set(metatype: unknown, method: unknown, plan: HandlerPlan): void {
    const plans = this.byClass.get(metatype) ?? new Map<unknown, HandlerPlan[]>();
    this.byClass.set(metatype, plans.set(method, [...(plans.get(method) ?? []), plan]));
  }

  get(metatype: unknown, method: unknown, transport: string): HandlerPlan | undefined {
    return this.byClass
      .get(metatype)
      ?.get(method)
      ?.find((plan) => plan.transport === transport);
  }
}

export function planFor(
  where: string,
  decorated: DecoratedMethod,
  transport: Transport,
  module: OperationOptions,
  config: ApplicationConfig,
): HandlerPlan {
  const { metatype, name, entry, method } = decorated;
  const isMessage = transport === 'rpc' || transport === 'ws';
  return {
    transport,
    message: isMessage ? messageEndpointOf(decorated, transport) : undefined,
    standIn: entry.standIn,
    options: resolveOptions(where, module, optionsOf(entry), isMessage ? 'wait' : 'reject'),
    byClass: entry.ofMethod === undefined,
    operationSuffix: versionSuffix(metatype, method, config) + hostSuffix(metatype),
    answersItself: answersItself(metatype, name),
  };
}

function versionSuffix(metatype: object, method: Method, config: ApplicationConfig): string {
  const versioning = config.getVersioning();
  // With URI versioning it is part of the path.
  if (versioning === undefined || versioning.type === VersioningType.URI) return '';
  const version: unknown =
    Reflect.getMetadata(NEST_METADATA.version, method) ??
    Reflect.getMetadata(NEST_METADATA.version, metatype) ??
    versioning.defaultVersion;
  if (version === undefined || version === VERSION_NEUTRAL) return '';
  const names = (Array.isArray(version) ? version : [version]) as unknown[];
  return ` v${names.map((item) => (item === VERSION_NEUTRAL ? 'neutral' : String(item))).join(',')}`;
}

function hostSuffix(metatype: object): string {
  const host: unknown = Reflect.getMetadata(NEST_METADATA.host, metatype);
  if (host === undefined) return '';
  return ` @${(Array.isArray(host) ? (host as unknown[]) : [host]).map(String).join(',')}`;
}

const RESPONSE = 1;
const NEXT = 2;

/** The same question that Nest asks before it sends a handler's value. */
function answersItself(metatype: object, name: string | symbol): boolean {
  if (Reflect.getMetadata(NEST_METADATA.responsePassthrough, metatype, name) === true) return false;
  const parameters = Reflect.getMetadata(NEST_METADATA.routeArguments, metatype, name) as object | undefined;
  return Object.keys(parameters ?? {}).some((key) => {
    const type = Number(key.split(':')[0]);
    return type === RESPONSE || type === NEXT;
  });
}
