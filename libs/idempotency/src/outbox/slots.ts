/** Lets so many work at a time; the others wait in the order in which they came. */
export class Slots {
  private taken = 0;
  private readonly queue: (() => void)[] = [];
  private readonly watchers: (() => void)[] = [];

  constructor(private readonly size: number) {}

  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.taken < this.size) this.taken += 1;
    else await new Promise<void>((served) => this.queue.push(served));
    try {
      return await work();
    } finally {
      this.handOn();
    }
  }

  /** Resolves when somebody who came now would not have to wait. */
  async vacant(): Promise<void> {
    while (this.taken >= this.size) await new Promise<void>((vacated) => this.watchers.push(vacated));
  }

  private handOn(): void {
    const next = this.queue.shift();
    if (next !== undefined) return next();
    this.taken -= 1;
    for (const vacated of this.watchers.splice(0)) vacated();
  }
}
