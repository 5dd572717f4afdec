import { resolve } from 'node:path';
import { readPort, readText } from '../../../shared/src/start/environment.js';
import type { Environment } from '../../../shared/src/start/environment.js';
import { StartError } from '../../../shared/src/start/start-error.js';
import { KINDS, POINTS } from '../faults/faults.js';
import type { Fault } from '../faults/faults.js';

export interface PaymentsConfig {
  readonly port: number;
  /** Holds the ledger, and where this service is to be found. */
  readonly dataDir: string;
  readonly fault: Fault | undefined;
}

/**
 * | variable         | default                          | meaning                                                   |
 * |------------------|----------------------------------|-----------------------------------------------------------|
 * | `PORT`           | `3001`                           | where to listen, on the loopback interface                |
 * | `DATA_DIR`       | `.data/payments` in the checkout | where the ledger is                                       |
 * | `PAYMENTS_FAULT` | none                             | fails once, from its start on: `after-write:die` or alike |
 */
export function readConfig(env: Environment, checkout: string): PaymentsConfig {
  return {
    port: readPort(env, 3001),
    dataDir: resolve(checkout, readText(env, 'DATA_DIR') ?? '.data/payments'),
    fault: readFault(readText(env, 'PAYMENTS_FAULT')),
  };
}

function readFault(value: string | undefined): Fault | undefined {
  if (value === undefined) return undefined;
  const point = POINTS.find((one) => value.startsWith(`${one}:`));
  const kind = KINDS.find((one) => value.endsWith(`:${one}`));
  if (point && kind) return { point, kind };
  throw new StartError(
    `PAYMENTS_FAULT is '${value}'. It must be ${POINTS.join(' or ')}, a colon, and one of ${KINDS.join(', ')}.`,
  );
}
