import { TransactionMisusedError } from './errors.js';

/** A nested transaction: what was written since its savepoint. */
export class Level {
  state: 'open' | 'merged' | 'undone' = 'open';
  /** Somebody who is not of it wrote while it was open: undoing it would undo that as well. */
  hasStrangers = false;
  readonly closed: Promise<void>;
  private resolve: () => void = () => undefined;

  constructor(
    readonly name: string,
    readonly parent: Level | undefined,
    /** Around a function, whose end is its end; `loose` ones begin and end by hand. */
    readonly kind: 'function' | 'loose',
  ) {
    this.closed = new Promise((resolve) => (this.resolve = resolve));
  }

  end(state: 'merged' | 'undone'): void {
    this.state = state;
    this.resolve();
  }

  isWithin(other: Level): boolean {
    return this === other || (this.parent?.isWithin(other) ?? false);
  }
}

/**
 * The savepoints of one transaction. A database knows them as a pile: to undo one undoes whatever came after it, whoever did
 * it. This knows who did what, so that nobody's work vanishes unsaid.
 */
export class Levels {
  readonly root = new Level('idempotency', undefined, 'function');
  private readonly pile: Level[] = [this.root];
  private made = 0;

  get top(): Level {
    return this.pile.at(-1) ?? this.root;
  }

  /**
   * Of work whose own nested transaction is over and kept: the one around that.
   *
   * @throws TransactionMisusedError when it is rolled back: what goes on in it would last where it is to vanish
   */
  nearestOpen(level: Level): Level {
    let nearest = level;
    while (nearest.state === 'merged' && nearest.parent !== undefined) nearest = nearest.parent;
    assertNotUndone(nearest);
    return nearest;
  }

  /** Those that were opened later and are still open. */
  above(level: Level): readonly Level[] {
    return this.pile.slice(this.pile.indexOf(level) + 1);
  }

  /** Something is written that belongs to the level. */
  wrote(level: Level): void {
    for (const other of this.above(level)) other.hasStrangers = true;
  }

  push(parent: Level, kind: Level['kind']): Level {
    this.wrote(parent);
    this.made += 1;
    const level = new Level(`idempotency_${this.made}`, parent, kind);
    this.pile.push(level);
    return level;
  }

  /** Its end failed at the database, so that it is still there. */
  putBack(level: Level): void {
    level.state = 'open';
    this.pile.push(level);
  }

  /** Its work now belongs to the one around it. */
  merge(level: Level): void {
    this.pile.splice(this.pile.indexOf(level), 1);
    level.end('merged');
  }

  /** `false`: work of others is lost with it. */
  undo(level: Level): boolean {
    const lost = this.pile.splice(this.pile.indexOf(level));
    for (const one of lost) one.end('undone');
    return !level.hasStrangers && lost.every((one) => one.isWithin(level));
  }

  /** Neither it nor one around it was rolled back. */
  isKept(level: Level): boolean {
    for (let one: Level | undefined = level; one !== undefined; one = one.parent)
      if (one.state === 'undone') return false;
    return true;
  }

  /** Whoever waits for one need wait no longer. */
  endAll(): void {
    for (const level of this.pile.splice(1)) level.end('undone');
  }
}

export function assertNotUndone(level: Level): void {
  if (level.state === 'open') return;
  throw new TransactionMisusedError(
    'Something of a nested transaction goes on after that, or the one around it, is rolled back, so it was not done. Await everything inside the function of the nested transaction.',
  );
}
