import { Deferred } from './bounded.js';
import type { Claimer, Refused } from './claimer.js';
import type { BeginRequest } from './idempotency-engine.js';
import type { Asked } from './local-caches.js';
import type { RunTools } from './run-terms.js';
import { Run } from './run.js';

/** What asking the storage led to. `run`: the asker may run. `won_here`: somebody else in this process does. */
export type Led =
  | { readonly kind: 'run'; readonly run: Run }
  | { readonly kind: 'won_here' }
  | { readonly kind: 'refused'; readonly outcome: Refused; readonly asked: Asked }
  | { readonly kind: 'failed'; readonly error: unknown };

/** The runs of this process, and its way to new ones: one question per record at a time, whoever asks. */
export class LocalRuns {
  /** Claims under way, by record id. */
  private readonly claiming = new Map<string, Promise<Led>>();
  /** The last run of each record, until it is closed. */
  private readonly runs = new Map<string, Run>();

  constructor(
    private readonly claimer: Claimer,
    private readonly tools: RunTools,
  ) {}

  get size(): number {
    return this.claiming.size + this.runs.size;
  }

  /** The run that answers for its record, as long as its lease is confirmed. */
  confirmed(id: string): Run | undefined {
    const run = this.runs.get(id);
    return run?.leaseConfirmed() ? run : undefined;
  }

  /** Asks the storage; whoever comes meanwhile shares the answer. A claim that is won becomes this process's run. */
  ask(request: BeginRequest): Promise<Led> {
    return this.claiming.get(request.id) ?? this.lead(request);
  }

  /** Resolves when every run and every claim that was given up is dealt with. */
  async closed(): Promise<void> {
    await Promise.all([this.claimer.settled(), ...[...this.runs.values()].map((run) => run.closed)]);
  }

  private async lead(request: BeginRequest): Promise<Led> {
    const shared = new Deferred<Led>();
    this.claiming.set(request.id, shared.promise);
    const led = await this.claim(request);
    this.claiming.delete(request.id);
    shared.resolve(led.kind === 'run' ? { kind: 'won_here' } : led);
    return led;
  }

  /** Never rejects. */
  private async claim(request: BeginRequest): Promise<Led> {
    const { id, fingerprint, leaseMs, storageTimeoutMs, ttlMs } = request;
    // A lease that ran out while its run goes on here is no crash, and this process must not take over from itself.
    const goesOnHere = this.runs.get(id)?.mayBeOwner() === true;
    const takeOver = request.takeOver && !goesOnHere;
    const question = { id, fingerprint, leaseMs, keepMs: ttlMs, takeOver, storageTimeoutMs };
    const { caches } = this.tools;
    const asked = caches.asked();
    const answer = await this.claimer.ask(question);
    if (answer.kind === 'refused') {
      const { outcome } = answer;
      if (outcome.kind !== 'abandoned' || !goesOnHere) return { kind: 'refused', outcome, asked };
      return { kind: 'refused', outcome: { kind: 'in_progress', fingerprint, leaseRemainingMs: 0 }, asked };
    }
    if (answer.kind !== 'claimed') return answer;
    caches.drop(id);
    const { claim, sentAt, outcome, released } = answer;
    const run = new Run({ ...request, ...outcome, claim, sentAt, released }, this.tools);
    this.runs.set(id, run);
    void run.closed.then(() => {
      if (this.runs.get(id) === run) this.runs.delete(id);
    });
    this.tools.emit(run.previous === 'expired' ? 'taken-over' : 'claimed', run);
    return { kind: 'run', run };
  }
}
