import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { tallyOf, type Tally } from './tally.js';

export interface LoadOptions {
  /** The apps, which share one storage. */
  readonly urls: readonly string[];
  /** Where their handlers write down each run. */
  readonly effectsFile: string;
  /** Endless, or as many as there shall be; `finish` ends an endless one. */
  readonly keys: Iterable<string>;
  /** Clients that send the same key at the same time, each until it has a final answer. @default 3 */
  readonly clientsPerKey?: number;
  /** Keys that are being sent at a time. @default 12 */
  readonly keysAtATime?: number;
  /** Between 0 and 1, for delays. @default Math.random */
  readonly chance?: () => number;
}

/** A client gives up on a key after that. An unfinished claim of a dead process is free after a lease, 30 s. */
const PATIENCE_MS = 60_000;
const REQUEST_TIMEOUT_MS = 10_000;

/** Many clients that do what clients of an idempotent route do: send, and send again until there is an answer. */
export class Load {
  private readonly sent: string[] = [];
  private readonly answers = new Map<string, Set<string>>();
  private readonly marked = new Map<string, Set<string>>();
  private readonly notFinal = new Map<string, number>();
  private readonly unanswered = new Set<string>();
  private readonly workers: Promise<void>[];
  private readonly chance: () => number;
  private requests = 0;
  private atLeast = Infinity;
  private stopped = false;
  private running = true;

  constructor(private readonly options: LoadOptions) {
    this.chance = options.chance ?? Math.random;
    const keys = options.keys[Symbol.iterator]();
    this.workers = Array.from({ length: options.keysAtATime ?? 12 }, () => this.work(keys));
    void Promise.all(this.workers).then(() => {
      this.running = false;
    });
  }

  /** Whether some client still waits for an answer. */
  get isRunning(): boolean {
    return this.running;
  }

  /** Resolves when so many keys have been begun since the start. */
  async begun(keys: number): Promise<void> {
    for (const deadline = Date.now() + PATIENCE_MS; this.sent.length < keys; await sleep(5)) {
      if (Date.now() < deadline) continue;
      throw new Error(
        `The clients have come no further than ${this.sent.length} keys, not ${keys}: ${this.tally().summary}`,
      );
    }
  }

  get keysBegun(): number {
    return this.sent.length;
  }

  /** Begins no further key once there are so many, and resolves when every client has its answers. */
  async finish(atLeastKeys = Infinity): Promise<void> {
    this.atLeast = atLeastKeys;
    await Promise.all(this.workers);
  }

  /** For a test that failed: clients give up. */
  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.workers);
  }

  /**
   * Every key once more to every app, as by clients that come late. Tells for how many keys the apps do not give the same
   * answer.
   */
  async sendAllAgain(): Promise<number> {
    const rest = [...this.sent];
    let disagreeing = 0;
    const again = async () => {
      for (let key = rest.pop(); key !== undefined; key = rest.pop()) {
        const runs = new Set<string | undefined>();
        for (const url of this.options.urls) runs.add(await this.deliver(url, key));
        if (runs.size > 1) disagreeing += 1;
      }
    };
    await Promise.all(Array.from({ length: 8 }, again));
    return disagreeing;
  }

  tally(): Tally {
    const effects = new Map<string, string[]>();
    for (const line of readFileSync(this.options.effectsFile, 'utf8').trim().split('\n')) {
      const [key = '', run = ''] = line.split(' ');
      effects.set(key, [...(effects.get(key) ?? []), run]);
    }
    const { sent: keys, requests, answers, marked, notFinal } = this;
    return tallyOf({ keys, requests, answers, marked, notFinal, effects }, [...this.unanswered]);
  }

  private async work(keys: Iterator<string>): Promise<void> {
    const { urls, clientsPerKey = 3 } = this.options;
    while (this.sent.length < this.atLeast && !this.stopped) {
      const { value: key, done } = keys.next();
      if (done === true) return;
      this.sent.push(key);
      await Promise.all(
        Array.from({ length: clientsPerKey }, async (_, at) => {
          await sleep(this.chance() * 10 * at);
          await this.deliver(urls[(this.sent.length + at) % urls.length] as string, key);
        }),
      );
    }
  }

  /** The run whose answer it is; `undefined` when there was none. */
  private async deliver(url: string, key: string): Promise<string | undefined> {
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline;) {
      const run = await this.sendOnce(url, key);
      if (run !== undefined) return run;
      // A client of good manners would wait for Retry-After; these are meant to be in the way.
      await sleep(20 + this.chance() * 60);
    }
    this.unanswered.add(key);
    return undefined;
  }

  /** The run whose answer it is; `undefined` when the answer was not final. */
  private async sendOnce(url: string, key: string): Promise<string | undefined> {
    this.requests += 1;
    try {
      const response = await fetch(`${url}/effects`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        // Of the key alone: a retry is the same request.
        body: JSON.stringify({
          takesMs: 5 + ((key.length * 7 + (key.codePointAt(key.length - 1) ?? 0)) % 40),
        }),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      const body = (await response.json()) as { run?: string; code?: string };
      if (response.status !== 201 || body.run === undefined) {
        this.count(`${response.status} ${body.code ?? ''}`);
        return undefined;
      }
      const status = response.headers.get('idempotency-status');
      add(status === null ? this.answers : this.marked, key, body.run);
      if (status !== null) this.count(`201 ${status}`);
      return body.run;
    } catch (error) {
      this.count(
        error instanceof Error && error.name === 'TimeoutError' ? 'no answer in time' : 'no connection',
      );
      return undefined;
    }
  }

  private count(what: string): void {
    this.notFinal.set(what, (this.notFinal.get(what) ?? 0) + 1);
  }
}

function add(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key) ?? new Set();
  sets.set(key, set.add(value));
}
