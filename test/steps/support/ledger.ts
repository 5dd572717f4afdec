import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** What an outside service has done, in files: one that keeps its own keys, and does nothing twice under one of them. */
export class Ledger {
  constructor(private readonly folder: string) {}

  enter(what: string, key: string): void {
    appendFileSync(`${this.folder}/calls`, `${what}\n`);
    if (!this.lines('keys').includes(key)) appendFileSync(`${this.folder}/done`, `${what}\n`);
    appendFileSync(`${this.folder}/keys`, `${key}\n`);
  }

  /** Effects, in their order. */
  get done(): string[] {
    return this.lines('done');
  }

  /** What was asked for, also again. */
  get calls(): string[] {
    return this.lines('calls');
  }

  lines(file: string): string[] {
    const path = `${this.folder}/${file}`;
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
  }
}
