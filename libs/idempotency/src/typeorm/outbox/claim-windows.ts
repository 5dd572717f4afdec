import type { Row } from '../rows.js';

export interface WindowAnswer {
  readonly claimed: readonly Row[];
  /** How many due messages were looked at. */
  readonly scanned: number;
  /** Aggregates of which everything is claimed that may be. */
  readonly seen: readonly string[];
}

/** @param most how many to claim @param window how many due messages to look at, leaving out the aggregates `seen` */
export type ClaimInWindow = (most: number, window: number, seen: readonly string[]) => Promise<WindowAnswer>;

/** How many times as many as are to be claimed. The second look leaves out what filled the first, as a rule one aggregate. */
const FIRST_WINDOW = 4;
const GROWTH = 4;

/**
 * Looks at the oldest due messages only; at more of them, and at none of what was seen, as long as these were held back by
 * others, such as thousands behind one dead letter. It ends when all were looked at.
 */
export async function claimInWindows(limit: number, ask: ClaimInWindow): Promise<readonly Row[]> {
  const claimed: Row[] = [];
  const seen: string[] = [];
  for (let look = 1, window = FIRST_WINDOW * limit; ; look += 1) {
    let answer: WindowAnswer;
    try {
      answer = await ask(limit - claimed.length, window, seen);
    } catch (error) {
      // What is claimed is to be sent; whatever is wrong will be wrong with the next question as well.
      if (claimed.length > 0) return claimed;
      throw error;
    }
    claimed.push(...answer.claimed);
    seen.push(...answer.seen);
    if (answer.scanned < window || claimed.length >= limit) return claimed;
    if (look > 1) window *= GROWTH;
  }
}
