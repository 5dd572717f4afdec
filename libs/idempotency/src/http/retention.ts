import { ownRefusalOf } from './own-refusal.js';

/** How an execution ended, for `record` to decide whether its outcome is kept. */
export interface ExecutionOutcome {
  readonly transport: 'http' | 'rpc' | 'ws' | 'graphql' | 'job';
  /** Whether the handler returned (its effect has happened) or threw. */
  readonly phase: 'returned' | 'threw';
  /** The status that went out, or that the error names; absent when nothing was sent. */
  readonly status?: number;
  readonly error?: unknown;
  readonly value?: unknown;
}

/** `keep`: the outcome is final and replayed. `release`: nothing is kept and a retry runs the handler again. */
export type RecordDecision = 'keep' | 'release';
/** The option `record`: which outcomes are final. What it throws is logged, and the default decides. */
export type RecordPolicy = (outcome: ExecutionOutcome) => RecordDecision;

/** "Try again later" in words of HTTP: not a final answer. */
const TRY_AGAIN = new Set([408, 425, 429]);

/** A refusal that stays right when asked again. */
export function isFinalStatus(status: number | undefined): boolean {
  return status !== undefined && status < 500 && !TRY_AGAIN.has(status);
}

/**
 * Returned: the effect has happened, so whatever goes out is kept. Threw: a redirect or a client error is kept, "try
 * again later", a server error and everything else is not. Where there is no status, a refusal in the words of the
 * transport (`RpcException`, `WsException`, `GraphQLError` with a code) is kept.
 */
export const defaultRecordPolicy: RecordPolicy = ({ transport, phase, status, error }) => {
  if (phase === 'returned') return 'keep';
  if (status !== undefined) return status >= 300 && isFinalStatus(status) ? 'keep' : 'release';
  return transport !== 'http' && transport !== 'job' && ownRefusalOf(error) !== undefined
    ? 'keep'
    : 'release';
};
