import { Problem } from '../../../shared/src/problems/problem.js';
import { KINDS, OPERATIONS, POINTS } from './faults.js';
import type { Fault } from './faults.js';

/** @throws Problem `invalid-request` with what is allowed */
export function readFault(value: unknown): Fault {
  const { point, kind, on, times, waitMs } = (value ?? {}) as Record<string, unknown>;
  const [where, what] = [POINTS.find((one) => one === point), KINDS.find((one) => one === kind)];
  const operation = OPERATIONS.find((one) => one === on);
  if (!where || !what || (on !== undefined && !operation) || !isCount(times) || !isCount(waitMs)) {
    throw new Problem(
      400,
      'invalid-request',
      `A fault is { point: ${POINTS.join(' | ')}, kind: ${KINDS.join(' | ')}, on?: ${OPERATIONS.join(' | ')}, times?: 1, waitMs?: 1000 }.`,
    );
  }
  return {
    point: where,
    kind: what,
    ...(operation && { on: operation }),
    ...(times !== undefined && { times }),
    ...(waitMs !== undefined && { waitMs }),
  };
}

const isCount = (value: unknown): value is number | undefined =>
  value === undefined || (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 600_000);
