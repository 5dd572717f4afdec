import type { FileHandle } from 'node:fs/promises';
import { StartError } from '../../../shared/src/start/start-error.js';
import type { Entry } from './entry.js';
import { decodeLine } from './ledger-line.js';

export interface LedgerContent {
  readonly entries: readonly Entry[];
  /** Bytes of them. What follows is a line that a crash left half written: nobody was told of it. */
  readonly length: number;
}

/**
 * Reads what a ledger holds. A torn end is what a crash leaves behind, and nobody has an answer that rests on it. A
 * damaged line with good ones behind it is something else: then money that was moved may be missing, and to go on would
 * charge it again.
 *
 * @throws StartError when the file is damaged in its midst
 */
export async function readLedger(file: FileHandle, path: string): Promise<LedgerContent> {
  const lines = (await file.readFile({ encoding: 'utf8' })).split('\n');
  const entries: Entry[] = [];
  let length = 0;
  lines.pop(); // what follows the last line break: nothing, or a torn line
  for (const [at, line] of lines.entries()) {
    const entry = decodeLine(line);
    if (!entry) {
      if (lines.slice(at + 1).some((later) => decodeLine(later))) throw damaged(path, at + 1);
      return { entries, length };
    }
    entries.push(entry);
    length += Buffer.byteLength(line) + 1;
  }
  return { entries, length };
}

function damaged(path: string, line: number): StartError {
  return new StartError(
    `Line ${line} of the ledger ${path} is damaged, and good lines follow it. A charge may be missing, so this service ` +
      'does not start: it could charge a card twice. Put the file back from a copy, or compare it with the bank and mend it.',
  );
}
