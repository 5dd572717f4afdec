import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { FACT } from './fact.js';

const processes = new Set<ChildProcess>();
process.once('exit', () => processes.forEach((child) => child.kill('SIGKILL')));

/** Of what it writes besides: warnings, stack traces. Kept to explain a failure. */
const KEPT_LINES = 400;

/**
 * One process of a run, from the sources, which may be killed and started again. What it says are facts that the run counts; they
 * are written at once, so a kill loses none. It ends with the process that started it.
 */
export class RunProcess {
  /** How often it was started. */
  starts = 0;
  private child: ChildProcess | undefined;
  private readonly complaints: string[] = [];

  constructor(
    readonly name: string,
    private readonly file: string,
    private readonly env: Readonly<Record<string, string>>,
    private readonly onFact: (fact: string, from: RunProcess) => void,
  ) {}

  get isUp(): boolean {
    return this.child !== undefined;
  }

  /** Its warnings and errors, in all its lives: the last lines. */
  get said(): string {
    return this.complaints.join('\n');
  }

  /** Resolves when it has said that it is ready. */
  async start(): Promise<void> {
    this.starts += 1;
    const args = [
      '--disable-warning=ExperimentalWarning',
      '--import',
      './test/support/ts-hooks.mjs',
      this.file,
    ];
    const child = spawn(process.execPath, args, {
      env: { ...process.env, NODE_ENV: 'test', NO_COLOR: '1', ...this.env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    processes.add(child);
    let over = false;
    const ended = once(child, 'exit').then(() => {
      over = true;
      processes.delete(child);
      if (this.child === child) this.child = undefined;
    });
    await new Promise<void>((resolve, reject) => {
      const hear = (line: string) => {
        if (!line.startsWith(FACT)) return this.complain(line);
        const fact = line.slice(FACT.length);
        if (fact !== 'ready') return this.onFact(fact, this);
        if (!over) this.child = child;
        resolve();
      };
      for (const stream of [child.stdout, child.stderr])
        createInterface(stream as NodeJS.ReadableStream).on('line', hear);
      void ended.then(() => reject(new Error(`${this.name} ended before it was ready.\n${this.said}`)));
    });
  }

  /** Tells it something; nobody is told when it is down. */
  tell(what: string): void {
    this.child?.send(what, () => undefined);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Asks it to end, and waits until it has. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  private complain(line: string): void {
    this.complaints.push(line);
    if (this.complaints.length > KEPT_LINES) this.complaints.shift();
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child === undefined) return;
    this.child = undefined;
    const closed = once(child, 'close'); // and everything that it has written is read
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
    await closed;
    clearTimeout(timer);
  }
}
