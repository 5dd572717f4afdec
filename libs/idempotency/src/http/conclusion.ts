/** That the outcome of an execution is decided, and who waits for that. */
export class Conclusion {
  reached = false;
  private isLetGo = false;
  private readonly afterwards: (() => void)[] = [];
  private readonly waiting: (() => void)[] = [];

  reach(): void {
    this.reached = true;
    for (const fn of this.afterwards.splice(0)) fn();
  }

  /** Calls `fn` when the outcome is decided. */
  whenReached(fn: () => void): void {
    if (this.reached) fn();
    else this.afterwards.push(fn);
  }

  /** Calls `fn` when the outcome was decided without a response, or `signal` says that nobody waits for it. */
  whenLetGo(fn: () => void, signal: AbortSignal): void {
    // A signal that has aborted says so no more.
    if (this.isLetGo || signal.aborted) return fn();
    signal.addEventListener('abort', fn);
    this.waiting.push(fn);
    this.whenReached(() => signal.removeEventListener('abort', fn));
  }

  letGo(): void {
    this.isLetGo = true;
    for (const fn of this.waiting.splice(0)) fn();
  }
}
