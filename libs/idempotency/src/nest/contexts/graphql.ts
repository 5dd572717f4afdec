import type { ExecutionContext } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { headersOnTheWire } from '../request-identity.js';
import type { CarriedDocument } from './graphql-document.js';
import { positionOf, type ResolveInfo } from './graphql-position.js';
import type { ValueRequest } from './value-request.js';

/** The context of a GraphQL request, as the drivers make it. */
interface AnyGraphqlContext {
  readonly req?: AnyRequest;
  readonly request?: AnyRequest;
  readonly user?: unknown;
  readonly extra?: ConnectionExtra;
}

/** What a server knows of a connection over WebSocket (`graphql-ws`); what the client says of itself stands elsewhere. */
interface ConnectionExtra {
  readonly user?: unknown;
}

type AnyRequest = Partial<IncomingMessage> & {
  readonly raw?: IncomingMessage;
  readonly user?: unknown;
  readonly extra?: ConnectionExtra;
};

export function graphqlRequestOf(context: ExecutionContext): ValueRequest {
  const [, args, shared, info] =
    context.getArgs<[unknown, unknown, AnyGraphqlContext | undefined, ResolveInfo]>();
  const request = shared?.req ?? shared?.request;
  return {
    operation: `${info.parentType.name}.${info.fieldName}`,
    user: request?.user ?? shared?.user ?? request?.extra?.user ?? shared?.extra?.user,
    payload: args,
    payloadName: 'arguments',
    headers: headersOf(request),
    position: positionOf(info),
    document: documentOf(request, info),
    noReply: false,
  };
}

function headersOf(request: AnyRequest | undefined): readonly string[] {
  const raw = request?.raw ?? request;
  // Over a WebSocket these are of the connection, and everything on it would have the same key.
  if (raw === undefined || raw.headers?.upgrade?.toLowerCase() === 'websocket') return [];
  return headersOnTheWire(raw);
}

function documentOf(request: AnyRequest | undefined, info: ResolveInfo): CarriedDocument | undefined {
  const carrier = request?.raw ?? request;
  // Documents may be parsed once for all; their variables are made anew for each execution.
  return carrier && { request: carrier, execution: info.variableValues };
}
