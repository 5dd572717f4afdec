import { setTimeout as sleep } from 'node:timers/promises';

/** So much of a run may be on its way before the next fault: there must be something for it to happen to. */
const AHEAD = 0.15;

export interface PaceTerms {
  /** How far the run is, from 0 to 1. */
  progress(): number;
  /** Whatever changes as long as something happens. */
  state(): unknown;
  /** When nothing has changed for so long, the run is given up. */
  readonly stuckAfterMs: number;
}

/** Lets a run come no further than its faults, so that a fast one is not over before they have happened. */
export class Pace {
  private readonly faults = new Set<number>();
  private before = '';
  private changedAt = performance.now();

  constructor(private readonly terms: PaceTerms) {}

  /** Nothing happens any more. */
  get isStuck(): boolean {
    const now = JSON.stringify(this.terms.state());
    if (now !== this.before) this.changedAt = performance.now();
    this.before = now;
    return performance.now() - this.changedAt > this.terms.stuckAfterMs;
  }

  /** Lets the fault happen when this part of the run, from 0 to 1, is done. A stuck run goes without. */
  async fault(dueAt: number, happen: () => Promise<void>): Promise<void> {
    this.faults.add(dueAt);
    try {
      while (this.terms.progress() < dueAt) {
        if (this.isStuck) return;
        await sleep(5);
      }
      await happen();
    } finally {
      this.faults.delete(dueAt);
    }
  }

  /** Resolves when what belongs to this part of the run may be sent. */
  async allow(part: number): Promise<void> {
    while ([...this.faults].some((dueAt) => part > dueAt + AHEAD)) await sleep(5);
  }
}
