const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * One Ctrl-C under `npm start` reaches this process twice: from the terminal, which signals the whole group, and from npm,
 * which passes on what it got. Only what comes later than that is a person's second Ctrl-C.
 */
const ECHO_MS = 500;

/** Thrown at the next step of a start that was told to stop. */
export class StoppedEarly extends Error {}

export class StopSignals {
  private receivedAt: number | undefined;
  private resolve!: () => void;

  /** Resolves with the first signal. */
  readonly first = new Promise<void>((resolve) => (this.resolve = resolve));

  constructor(private readonly force: (signal: NodeJS.Signals) => void) {
    for (const signal of SIGNALS) process.on(signal, () => this.receive(signal));
  }

  throwIfReceived(): void {
    if (this.receivedAt !== undefined) throw new StoppedEarly();
  }

  private receive(signal: NodeJS.Signals): void {
    const now = performance.now();
    if (this.receivedAt === undefined) {
      this.receivedAt = now;
      this.resolve();
    } else if (now - this.receivedAt > ECHO_MS) {
      this.force(signal);
    }
  }
}
