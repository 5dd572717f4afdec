/** Marks together whatever has come about while the marks before were on their way. */
export class Marks {
  private waiting: string[] = [];
  private running: Promise<void> | undefined;

  /** @param mark must not reject */
  constructor(private readonly mark: (sequences: readonly string[]) => Promise<void>) {}

  add(sequence: string): void {
    this.waiting.push(sequence);
    this.running ??= this.run();
  }

  /** Resolves when all that were added so far are marked, or given up. */
  async settled(): Promise<void> {
    await this.running;
  }

  private async run(): Promise<void> {
    while (this.waiting.length > 0) await this.mark(this.waiting.splice(0));
    this.running = undefined;
  }
}
