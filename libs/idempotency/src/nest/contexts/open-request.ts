import type { ExecutionContext } from '@nestjs/common';
import type { HandlerPlan } from '../handler-plan.js';
import { graphqlRequestOf } from './graphql.js';
import { rpcRequestOf } from './rpc.js';
import type { ValueRequest } from './value-request.js';
import { wsRequestOf } from './ws.js';

export function openRequest(context: ExecutionContext, plan: HandlerPlan): ValueRequest {
  switch (plan.transport) {
    case 'rpc':
      return rpcRequestOf(context, plan);
    case 'ws':
      return wsRequestOf(context, plan);
    case 'graphql':
      return graphqlRequestOf(context);
    case 'http':
      throw new Error('HTTP is recorded by what goes out');
  }
}
