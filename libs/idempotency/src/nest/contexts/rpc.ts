import type { ExecutionContext } from '@nestjs/common';
import { canonicalJson } from '../../core/canonical-json.js';
import type { HandlerPlan } from '../handler-plan.js';
import { brokerCorrelationId, brokerHeaders } from './broker-headers.js';
import type { ValueRequest } from './value-request.js';

/** Members of Nest's contexts that only one transport's context has. Classes could be renamed by a minifier. */
const SIGNS: readonly (readonly [member: string, transport: string])[] = [
  ['getSocketRef', 'tcp'],
  ['getPartition', 'kafka'],
  ['getChannelRef', 'rmq'],
  ['getSubject', 'nats'],
  ['getPacket', 'mqtt'],
  ['getChannel', 'redis'],
];

/** Where each of them says which pattern a message was sent to. */
const PATTERN_GETTERS = ['getPattern', 'getSubject', 'getTopic', 'getChannel'] as const;

export function rpcRequestOf(context: ExecutionContext, { message }: HandlerPlan): ValueRequest {
  const rpc = context.switchToRpc();
  const about: unknown = rpc.getContext();
  const pattern = patternOf(message?.names ?? [], incomingPattern(about));
  const payload = rpc.getData<unknown>();
  return {
    operation: `${transportName(about)} ${pattern}`,
    user: (about as { user?: unknown } | null | undefined)?.user,
    payload,
    payloadName: 'message',
    headers: brokerHeaders(about),
    correlationId:
      brokerCorrelationId(about) ??
      (payload as { correlationId?: unknown } | null | undefined)?.correlationId,
    position: '',
    noReply: message?.isEvent === true,
  };
}

/** A pattern as text; objects whatever the order of their members. */
export function patternName(pattern: unknown): string {
  return typeof pattern === 'object' && pattern !== null ? canonicalJson(pattern) : String(pattern);
}

function transportName(about: unknown): string {
  const sign = SIGNS.find(([member]) => hasMethod(about, member));
  if (sign !== undefined) return sign[1];
  return hasMethod(about, 'getMap') ? 'grpc' : 'rpc';
}

export function isKafka(about: unknown): boolean {
  return transportName(about) === 'kafka';
}

function incomingPattern(about: unknown): string | undefined {
  for (const getter of PATTERN_GETTERS) {
    if (hasMethod(about, getter)) return normal(about[getter]());
  }
  return undefined;
}

/** The pattern as it is registered: a handler may have several, and what comes in may match a wildcard. */
function patternOf(registered: readonly string[], incoming: string | undefined): string {
  if (registered.length === 1 && registered[0] !== undefined) return registered[0];
  return registered.find((name) => name === incoming) ?? registered.join(' or ');
}

function normal(pattern: unknown): string {
  if (typeof pattern !== 'string' || !pattern.startsWith('{')) return patternName(pattern);
  try {
    return patternName(JSON.parse(pattern));
  } catch {
    return pattern; // a name that happens to begin with a brace
  }
}

function hasMethod<K extends string>(value: unknown, name: K): value is Record<K, () => unknown> {
  if (typeof value !== 'object' || value === null) return false;
  return typeof (value as Record<string, unknown>)[name] === 'function';
}
