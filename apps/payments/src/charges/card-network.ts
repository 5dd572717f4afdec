import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionBreak } from '../faults/connection-break.js';

const SLOW_MS = 3_000;

/** Asks the bank; the name of the card says what it answers. @throws ConnectionBreak for the card `down` */
export async function authorize(card: string): Promise<'approved' | 'declined'> {
  switch (card) {
    case 'declined':
      return 'declined';
    case 'down':
      throw new ConnectionBreak();
    case 'slow':
      await sleep(SLOW_MS);
      return 'approved';
    default:
      return 'approved';
  }
}
