import type { Randomness, Timers } from './ports.js';
import type { Run } from './run.js';
import {
  decodeStep,
  encodeStep,
  stepNameProblem,
  stepNames,
  UNDOING_STEP,
  type KeptStep,
} from './step-format.js';
import { untilAborted } from './until-aborted.js';
import { undoSteps, type UndoableStep } from './undo-steps.js';

/** What `RunSteps` needs of a run. */
export type StepRun = Pick<Run, 'steps' | 'saveStep' | 'signal' | 'leaseConfirmed'>;

/** Errors for the handler, in words that its callers understand. */
export interface StepRefusals {
  /** The name is no name. */
  readonly badName: (name: unknown, reason: string) => Error;
  /** The name is used twice in one attempt. */
  readonly reused: (name: string) => Error;
  /** Its result would not come back as it is. */
  readonly notStorable: (name: string) => Error;
  /** The storage does not say that the result is saved. */
  readonly unsaved: (name: string, cause: unknown) => Error;
  /** The lease is lost, or the run has ended: another run may be under way. */
  readonly over: (name: string) => Error;
  /** The final error that an earlier attempt has ended in. */
  readonly ended: (error: Uint8Array) => Error;
}

export interface StepTools {
  readonly timers: Timers;
  readonly randomness: Randomness;
  readonly refusals: StepRefusals;
  /**
   * Calls what a step does, or takes back: outside of the handler's transaction, if there is one. A step that is finished is not
   * done again, so a rollback must not take it along.
   */
  readonly outside: <T>(fn: () => T) => T;
  /** An undo could not be done, or not be marked as done. */
  readonly onUndoFailed: (error: Error) => void;
}

/** Options of `op.step()`. */
export interface StepOptions<T> {
  /**
   * Takes back what the step did, when the operation ends for good in an error. It gets the step's result. A crash can make
   * it run a second time, so it must do no harm then.
   */
  readonly undo?: (result: T) => unknown;
}

type AnyUndo = (result: unknown) => unknown;

/**
 * The steps of one run: those that earlier attempts have finished, those that this one does, and what takes them back.
 */
export class RunSteps {
  /** Results as they are kept, in the order in which they were saved. */
  private readonly results = new Map<string, Uint8Array>();
  /** Done, and not known to be saved: only the saving is tried again, never the effect. */
  private readonly unsaved = new Map<string, Uint8Array>();
  private readonly undone: Set<string>;
  /** Of the steps that the handler has reached, in whatever attempt they were done. */
  private readonly undos = new Map<string, AnyUndo | undefined>();
  private readonly used = new Set<string>();
  private readonly running = new Map<string, Promise<Uint8Array>>();
  private saved = false;
  private over = false;

  /** @throws RecordUnreadableError */
  constructor(
    private readonly run: StepRun,
    private readonly tools: StepTools,
  ) {
    const { finished, undone } = stepNames(run.steps);
    this.undone = new Set(undone);
    for (const name of finished) {
      const bytes = run.steps.get(name) ?? new Uint8Array();
      decodeStep(name, bytes);
      this.results.set(name, bytes);
    }
  }

  /** The final error that an earlier attempt has ended in, and begun to undo its steps for; undefined when none did. */
  get undoing(): Uint8Array | undefined {
    return this.run.steps.get(UNDOING_STEP);
  }

  /** Whether undos are missing that only the handler can name, so that it must run once more. */
  get needsHandler(): boolean {
    return [...this.results].some(([name, bytes]) => this.isToUndo(name, bytes));
  }

  /** Whether this attempt has saved something that must not be forgotten. */
  get hasSaved(): boolean {
    return this.saved;
  }

  /** Results of finished steps, of earlier attempts too. */
  get finished(): ReadonlyMap<string, unknown> {
    return new Map([...this.results].map(([name, bytes]) => [name, decodeStep(name, bytes).value]));
  }

  /** The handler begins; again, when an interceptor asks it once more. What is done stays done. */
  restart(): void {
    this.used.clear();
  }

  /** The same for a run without a record: each begins with nothing. */
  forget(): void {
    for (const known of [this.results, this.unsaved, this.undos, this.used]) known.clear();
    this.over = false;
  }

  /**
   * Does `fn` once for all attempts, and gives its result, which each attempt gets as JSON has it.
   *
   * @throws what `fn` throws: then nothing is kept, and the name may be used again
   */
  async step<T>(name: string, fn: () => T | Promise<T>, { undo }: StepOptions<T> = {}): Promise<T> {
    const { refusals } = this.tools;
    const problem = stepNameProblem(name);
    if (problem !== undefined) throw refusals.badName(name, problem);
    if (this.used.has(name)) throw refusals.reused(name);
    // A process that stood still must not go on before it has heard of what happened meanwhile; its own clock knows at once.
    if (this.over || !this.run.leaseConfirmed()) throw refusals.over(name);
    this.used.add(name);
    this.undos.set(name, undo as AnyUndo | undefined);
    try {
      const bytes = this.results.get(name) ?? (await this.perform(name, fn, undo !== undefined));
      return decodeStep(name, bytes).value as T;
    } catch (error) {
      this.used.delete(name);
      throw error;
    }
  }

  /** No step begins from now on, and those that run have ended, or the lease is lost. Never rejects. */
  async settled(): Promise<void> {
    this.over = true;
    while (this.running.size > 0 && !this.run.signal.aborted) {
      await untilAborted(this.run.signal, Promise.allSettled(this.running.values()));
    }
  }

  /**
   * Takes back what the steps of all attempts did, newest first, each once; what is taken back is marked, so that a later
   * attempt goes on after it. Without anything to undo the storage is not asked. Never rejects.
   *
   * @param error the final error, for attempts after a crash
   */
  async undo(error: () => Uint8Array): Promise<'done' | 'failed'> {
    const { run, tools } = this;
    try {
      this.checkEnded();
      for (const [name, bytes] of this.unsaved) if (this.undos.get(name)) await this.save(name, bytes);
      const steps = [...this.results]
        .filter(([name, bytes]) => this.isToUndo(name, bytes))
        .map(([name, bytes]): UndoableStep => ({
          name,
          value: () => decodeStep(name, bytes).value,
          undo: this.undos.get(name),
        }));
      await undoSteps(steps.reverse(), { run, tools, undoing: this.undoing, error });
      return 'done';
    } catch (failure) {
      tools.onUndoFailed(failure as Error);
      return 'failed';
    }
  }

  /** Whoever did not wait for them has lost the lease. A record that is final then would hide what they still do. */
  private checkEnded(): void {
    const running = [...this.running.keys()].filter((name) => this.undos.get(name) !== undefined);
    if (running.length === 0) return;
    const names = running.map((name) => `\`${name}\``).join(', ');
    throw new Error(`${names} has not ended, so nobody knows what to undo: the lease is lost.`);
  }

  private isToUndo(name: string, bytes: Uint8Array): boolean {
    if (this.undone.has(name)) return false;
    // The handler knows best, if it came there: a newer version of it may undo more than the one that did the step, or less.
    return this.undos.has(name) ? this.undos.get(name) !== undefined : decodeStep(name, bytes).undoable;
  }

  private perform(name: string, fn: () => unknown, undoable: boolean): Promise<Uint8Array> {
    // A handler that is asked again joins what its first try has still under way.
    const before = this.running.get(name);
    if (before !== undefined) return before;
    const running = this.work(name, fn, undoable).finally(() => this.running.delete(name));
    this.running.set(name, running);
    return running;
  }

  private async work(name: string, fn: () => unknown, undoable: boolean): Promise<Uint8Array> {
    const { undoing, unsaved } = this;
    if (undoing !== undefined) throw this.tools.refusals.ended(undoing);
    let bytes = unsaved.get(name);
    if (bytes === undefined) {
      bytes = this.encoded(name, { value: await this.tools.outside(fn), undoable });
      unsaved.set(name, bytes);
    }
    await this.save(name, bytes);
    return bytes;
  }

  private encoded(name: string, kept: KeptStep): Uint8Array {
    const bytes = encodeStep(kept);
    if (bytes === undefined) throw this.tools.refusals.notStorable(name);
    return bytes;
  }

  private async save(name: string, bytes: Uint8Array): Promise<void> {
    const { refusals } = this.tools;
    // It may be stored although the answer does not come.
    this.saved = true;
    const owner = await this.run.saveStep(name, bytes).catch((error: unknown) => {
      throw refusals.unsaved(name, error);
    });
    if (owner === 'lease_lost') throw refusals.over(name);
    this.unsaved.delete(name);
    this.results.set(name, bytes);
  }
}
