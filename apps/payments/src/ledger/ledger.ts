import { mkdir, open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Entry } from './entry.js';
import { encodeLine } from './ledger-line.js';
import { readLedger } from './read-ledger.js';

interface Waiting {
  readonly line: string;
  readonly written: () => void;
  readonly failed: (error: unknown) => void;
}

/** A file that only ever grows. What `append` has confirmed is on the disk, whatever dies next. */
export class Ledger {
  private waiting: Waiting[] = [];
  private writing: Promise<void> | undefined;
  private broken: Error | undefined;

  private constructor(
    private readonly file: FileHandle,
    /** What it held when it was opened, oldest first. */
    readonly entries: readonly Entry[],
  ) {}

  /**
   * Opens the ledger, makes it when there is none, and takes off what a crash has left half written at its end.
   *
   * @throws StartError when it is damaged in its midst
   */
  static async open(path: string): Promise<Ledger> {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, 'a+', 0o600);
    try {
      const { entries, length } = await readLedger(file, path);
      if ((await file.stat()).size > length) await file.truncate(length);
      await file.sync();
      await syncFolder(dirname(path));
      return new Ledger(file, entries);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Why nothing can be written any more; a restart reads what is on the disk and begins anew. */
  get failure(): Error | undefined {
    return this.broken;
  }

  /** Resolves when the entry is on the disk. Those that wait while another one is written share the next write. */
  append(entry: Entry): Promise<void> {
    return new Promise((written, failed) => {
      this.waiting.push({ line: encodeLine(entry), written, failed });
      this.writing ??= this.writeAll();
    });
  }

  async close(): Promise<void> {
    await this.writing;
    await this.file.close();
  }

  private async writeAll(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting;
      this.waiting = [];
      try {
        if (this.broken) throw this.broken;
        await this.file.appendFile(batch.map(({ line }) => line).join(''));
        await this.file.datasync();
        for (const { written } of batch) written();
      } catch (error) {
        this.fail(error);
        for (const { failed } of batch) failed(this.broken);
      }
    }
    this.writing = undefined;
  }

  /** What of the batch is on the disk is not known any more, so nothing may be added behind it: the next start reads anew. */
  private fail(cause: unknown): void {
    this.broken ??= new Error(
      'The ledger cannot be written. Restart this service when its disk is well again.',
      {
        cause,
      },
    );
  }
}

/** Else a crash of the machine may forget that the file exists at all. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
