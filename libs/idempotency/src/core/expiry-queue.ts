interface Entry {
  readonly id: string;
  dueAt: number;
  index: number;
}

/**
 * Ids ordered by when they are due: a binary heap that knows where each id stands, so that setting, moving and removing
 * one costs O(log n) however often leases are renewed.
 */
export class ExpiryQueue {
  private readonly heap: Entry[] = [];
  private readonly entries = new Map<string, Entry>();

  set(id: string, dueAt: number): void {
    let entry = this.entries.get(id);
    if (entry === undefined) {
      entry = { id, dueAt, index: this.heap.length };
      this.entries.set(id, entry);
      this.heap.push(entry);
    }
    entry.dueAt = dueAt;
    this.settle(entry);
  }

  delete(id: string): void {
    const entry = this.entries.get(id);
    if (entry === undefined) return;
    this.entries.delete(id);
    const last = this.heap.pop();
    if (last === undefined || last === entry) return;
    this.place(last, entry.index);
    this.settle(last);
  }

  /** The id that is due first, if it is due at `now`. */
  due(now: number): string | undefined {
    const first = this.heap[0];
    return first !== undefined && first.dueAt <= now ? first.id : undefined;
  }

  private settle(entry: Entry): void {
    for (
      let parent = this.heap[(entry.index - 1) >> 1];
      parent !== undefined && parent.dueAt > entry.dueAt;
    ) {
      this.swap(parent, entry);
      parent = this.heap[(entry.index - 1) >> 1];
    }
    for (let child = this.earlierChild(entry); child !== undefined && child.dueAt < entry.dueAt;) {
      this.swap(entry, child);
      child = this.earlierChild(entry);
    }
  }

  private earlierChild(entry: Entry): Entry | undefined {
    const left = this.heap[entry.index * 2 + 1];
    const right = this.heap[entry.index * 2 + 2];
    return right !== undefined && left !== undefined && right.dueAt < left.dueAt ? right : left;
  }

  private swap(upper: Entry, lower: Entry): void {
    const { index } = upper;
    this.place(upper, lower.index);
    this.place(lower, index);
  }

  private place(entry: Entry, index: number): void {
    entry.index = index;
    this.heap[index] = entry;
  }
}
