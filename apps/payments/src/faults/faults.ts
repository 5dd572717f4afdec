import { Injectable } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../../../shared/src/problems/problem.js';
import { ConnectionBreak } from './connection-break.js';

export const POINTS = ['before-write', 'after-write'] as const;
export const KINDS = ['die', 'break', 'fail', 'wait'] as const;

export const OPERATIONS = ['charge', 'refund'] as const;

/** Where: before the decision is in the ledger, or after that and before the answer leaves. */
export type FaultPoint = (typeof POINTS)[number];
export type FaultOperation = (typeof OPERATIONS)[number];
/** `die`: kill -9 of itself. `break`: the connection ends without an answer. `fail`: 500. `wait`: goes on late, or when the fault is cleared or replaced. */
export type FaultKind = (typeof KINDS)[number];

export interface Fault {
  readonly point: FaultPoint;
  readonly kind: FaultKind;
  /** Only there. @default both */
  readonly on?: FaultOperation;
  /** How often; then it is over. @default 1 */
  readonly times?: number;
  /** How late, for `wait`. @default 1000 */
  readonly waitMs?: number;
}

/** What an outside service does to those who rely on it, on command. */
@Injectable()
export class Faults {
  private fault: Fault | undefined;
  private left = 0;
  private waiting = new AbortController();

  constructor(first?: Fault) {
    if (first) this.set(first);
  }

  /** Replaces what was set before. */
  set(fault: Fault): void {
    this.clear();
    this.fault = fault;
    this.left = fault.times ?? 1;
  }

  clear(): void {
    this.fault = undefined;
    this.waiting.abort();
    this.waiting = new AbortController();
  }

  async at(point: FaultPoint, operation: FaultOperation): Promise<void> {
    const { fault } = this;
    if (fault?.point !== point || (fault.on ?? operation) !== operation || this.left <= 0) return;
    this.left--;
    switch (fault.kind) {
      case 'die':
        process.kill(process.pid, 'SIGKILL');
        return new Promise(() => undefined); // the signal may take a moment; nothing happens in it
      case 'break':
        throw new ConnectionBreak();
      case 'fail':
        throw new Problem(500, 'failed-on-command', 'This service was told to fail here.');
      case 'wait':
        await sleep(fault.waitMs ?? 1_000, undefined, { signal: this.waiting.signal }).catch(() => undefined);
    }
  }
}
