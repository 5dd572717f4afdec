import { setTimeout as sleep } from 'node:timers/promises';
import type { Randomness } from '../../../libs/idempotency/src/core/ports.js';
import type { Pace } from './pace.js';
import type { RunProcess } from './run-process.js';

/** When nobody comes by a point for so long, its process is killed where it is. */
const COMES_BY_WITHIN_MS = 5_000;
const LONGEST_PAUSE_MS = 500;

export interface KillPlan {
  readonly processes: readonly RunProcess[];
  readonly random: Randomness;
  readonly pace: Pace;
  /** The points at which handlers are killed; the others are killed at any moment. */
  readonly points: readonly string[];
  /** It is gone, and everything that it has said was heard. */
  onKilled?(process: RunProcess): void;
}

/** Kills processes with kill -9 and starts them again, in an order that a seed decides. */
export class ProcessKills {
  /** Where they were killed, and how often. */
  readonly counts = new Map<string, number>();
  private readonly waiting = new Map<RunProcess, (point: string) => void>();
  private readonly restarts: Promise<void>[] = [];

  constructor(private readonly plan: KillPlan) {}

  get count(): number {
    return [...this.counts.values()].reduce((sum, times) => sum + times, 0);
  }

  /** A process has said that it is held somewhere. */
  held(process: RunProcess, point: string): void {
    this.waiting.get(process)?.(point);
  }

  /** So many, at points and at any moment by turns, spread over the run up to `until` of it. */
  async run(kills: number, until = 0.9): Promise<void> {
    const { random, pace, points } = this.plan;
    const planned = Array.from({ length: kills }, (_, at) => {
      const dueAt = ((at + random.fraction()) / kills) * until;
      const point = at % 2 === 0 ? points[(at / 2) % points.length] : undefined;
      return { dueAt, point, chosen: random.fraction(), pauseMs: random.fraction() * LONGEST_PAUSE_MS };
    });
    for (const { dueAt, point, chosen, pauseMs } of planned) {
      await pace.fault(dueAt, async () => {
        const victim = await this.victim(chosen);
        if (victim !== undefined) await this.kill(victim, point, pauseMs);
      });
    }
  }

  /** All processes are up again. @throws what one of them has said when it did not start */
  async end(): Promise<void> {
    await Promise.all(this.restarts);
  }

  private async victim(chosen: number): Promise<RunProcess | undefined> {
    const { pace, processes } = this.plan;
    for (; !pace.isStuck; await sleep(5)) {
      const up = processes.filter(({ isUp }) => isUp);
      if (up.length > 0) return up[Math.floor(chosen * up.length)];
    }
    return undefined;
  }

  private async kill(victim: RunProcess, point: string | undefined, pauseMs: number): Promise<void> {
    const where = point === undefined ? 'any moment' : await this.reach(victim, point);
    await victim.kill();
    this.plan.onKilled?.(victim);
    this.counts.set(where, (this.counts.get(where) ?? 0) + 1);
    const restart = sleep(pauseMs).then(() => victim.start());
    restart.catch(() => undefined); // said by `end`
    this.restarts.push(restart);
  }

  private async reach(victim: RunProcess, point: string): Promise<string> {
    const reached = new Promise<string>((resolve) => this.waiting.set(victim, resolve));
    victim.tell(point);
    const where = await Promise.race([reached, sleep(COMES_BY_WITHIN_MS, 'any moment', { ref: false })]);
    this.waiting.delete(victim);
    return where;
  }
}
