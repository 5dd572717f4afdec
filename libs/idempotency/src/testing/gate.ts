/** Where calls stop until the test says go. Once it is open it stays open; once it has failed, it stays so. */
export class Gate {
  private settleOpened!: { resolve: () => void; reject: (error: unknown) => void };
  private readonly opened = new Promise<void>((resolve, reject) => {
    this.settleOpened = { resolve, reject };
  });
  private readonly watchers = new Set<{ readonly count: number; readonly resolve: () => void }>();
  private arrived = 0;

  constructor() {
    // Nobody may be waiting when it fails.
    this.opened.catch(() => undefined);
  }

  /** Lets through those who wait and those who come later. */
  open(): void {
    this.settleOpened.resolve();
  }

  /** Rejects those who wait and those who come later. */
  fail(error: unknown = new Error('Connection lost, as the test asked for.')): void {
    this.settleOpened.reject(error);
  }

  /** Resolves when `count` calls have come to the gate. */
  reached(count = 1): Promise<void> {
    if (this.arrived >= count) return Promise.resolve();
    return new Promise((resolve) => this.watchers.add({ count, resolve }));
  }

  /** What a held call awaits. */
  pass(): Promise<void> {
    this.arrived += 1;
    for (const watcher of this.watchers) {
      if (watcher.count > this.arrived) continue;
      this.watchers.delete(watcher);
      watcher.resolve();
    }
    return this.opened;
  }
}
