import type { ExecutionContext } from '@nestjs/common';
import type { HandlerPlan } from '../handler-plan.js';
import type { ValueRequest } from './value-request.js';

/** Who a socket belongs to may stand in several places; none of them is what the client itself says. */
interface AnySocket {
  readonly user?: unknown;
  readonly data?: { readonly user?: unknown };
  readonly request?: { readonly user?: unknown };
  readonly handshake?: { readonly user?: unknown };
}

export function wsRequestOf(context: ExecutionContext, { message }: HandlerPlan): ValueRequest {
  const ws = context.switchToWs();
  const client = ws.getClient<AnySocket | undefined>();
  return {
    operation: `ws ${message?.names[0] ?? ws.getPattern()}`,
    user: client?.user ?? client?.data?.user ?? client?.request?.user ?? client?.handshake?.user,
    payload: ws.getData<unknown>(),
    payloadName: 'message',
    // Those of the handshake belong to the connection: every message on it would have the same key.
    headers: [],
    position: '',
    noReply: false,
  };
}
