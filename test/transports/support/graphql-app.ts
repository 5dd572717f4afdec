import type { ModuleMetadata, Type } from '@nestjs/common';
import { ApolloDriver } from '@nestjs/apollo';
import { GraphQLModule } from '@nestjs/graphql';
import { MercuriusDriver } from '@nestjs/mercurius';
import type { IdempotencyModuleOptions } from 'nestjs-idempotent';
import { start, type RunningApp } from '../../http/support/apps.js';
import type { Platform } from '../../support/apps.js';

/** Both drivers, each on the platform that it is for. */
export const drivers = [
  { name: 'Apollo on Express', platform: 'express', driver: ApolloDriver },
  { name: 'Mercurius on Fastify', platform: 'fastify', driver: MercuriusDriver },
] as const satisfies readonly { name: string; platform: Platform; driver: Type }[];

export type GraphqlDriver = (typeof drivers)[number];

export interface GraphqlAppOptions extends ModuleMetadata {
  readonly options?: IdempotencyModuleOptions;
  /** Options of GraphQLModule. */
  readonly graphql?: object;
}

/** An app with a schema made from its code, closed after the test. */
export function startGraphql(
  { platform, driver }: GraphqlDriver,
  { graphql, imports = [], ...app }: GraphqlAppOptions,
): Promise<RunningApp> {
  const module = GraphQLModule.forRoot({ driver, autoSchemaFile: true, sortSchema: false, ...graphql });
  return start(platform, { ...app, imports: [module, ...imports] });
}

export interface GraphqlAnswer {
  readonly data: Readonly<Record<string, any>> | null; // eslint-disable-line @typescript-eslint/no-explicit-any
  readonly errors?: readonly {
    readonly message: string;
    readonly path?: readonly unknown[];
    readonly extensions?: Readonly<Record<string, unknown>>;
  }[];
  readonly headers: Headers;
}

/** Sends a document as clients do. */
export async function ask(
  { url }: RunningApp,
  query: string,
  { key, headers = {}, ...body }: { key?: string; headers?: Record<string, string>; variables?: object } = {},
): Promise<GraphqlAnswer> {
  const answer = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key === undefined ? {} : { 'idempotency-key': key }),
      ...headers,
    },
    body: JSON.stringify({ query, ...body }),
  });
  return { ...((await answer.json()) as Omit<GraphqlAnswer, 'headers'>), headers: answer.headers };
}

/** The code of the only error of an answer. */
export const codeOf = ({ errors }: GraphqlAnswer): unknown => errors?.[0]?.extensions?.['code'];
