import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, ErrorReply } from 'redis';
import { startRedis, type RedisServer, type RedisServerOptions } from './redis-server.js';

/** Far more than it takes: other suites share the machine. */
const ANSWERS_WITHIN_MS = 20_000;

/** One server of a cluster or of a replicated group. */
export class RedisNode {
  private ended = false;
  private paused = false;
  private admin: AdminConnection | undefined;

  private constructor(private readonly server: RedisServer) {}

  static async start(options: RedisServerOptions): Promise<RedisNode> {
    return new RedisNode(await startRedis(options));
  }

  get port(): number {
    return this.server.port;
  }

  get url(): string {
    return this.server.url;
  }

  get alive(): boolean {
    return !this.ended;
  }

  /** Alive, and not told to stand still. */
  get answers(): boolean {
    return !this.ended && !this.paused;
  }

  /** Sends one command on a connection that it keeps as long as answers come. */
  async command(...args: readonly string[]): Promise<unknown> {
    this.admin ??= new AdminConnection(this.port);
    try {
      return await this.admin.send(args);
    } catch (error) {
      // An answer that says no is no reason for another connection; one that is late, or none at all, is.
      if (!(error instanceof ErrorReply)) this.forgetConnection();
      throw error;
    }
  }

  /** The fields of `INFO <section>`. */
  async info(section: string): Promise<Readonly<Record<string, string>>> {
    return fieldsOf(String(await this.command('INFO', section)));
  }

  /** The process stands still, as on a frozen host: connections stay open and nobody answers. */
  pause(): void {
    this.paused = true;
    this.server.pause();
  }

  resume(): void {
    this.paused = false;
    this.server.resume();
  }

  /** SIGKILL. What was only in its memory is gone, and so is its configuration. */
  async kill(): Promise<void> {
    this.ended = true;
    this.forgetConnection();
    await this.server.stop();
  }

  private forgetConnection(): void {
    this.admin?.close();
    this.admin = undefined;
  }
}

class AdminConnection {
  private readonly client;
  private readonly connected: Promise<unknown>;

  constructor(private readonly port: number) {
    this.client = createClient({
      url: `redis://127.0.0.1:${port}`,
      name: 'admin',
      socket: { reconnectStrategy: false, connectTimeout: ANSWERS_WITHIN_MS },
    });
    this.client.on('error', () => {});
    this.connected = this.client.connect();
    this.connected.catch(() => {});
  }

  async send(args: readonly string[]): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`Port ${this.port} gave no answer to ${args.join(' ')}.`);
      timer = setTimeout(() => reject(error), ANSWERS_WITHIN_MS);
    });
    try {
      return await Promise.race([this.connected.then(() => this.client.sendCommand([...args])), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.client.destroy();
  }
}

/** Asks until the answer is yes, for what servers come to by themselves. Failed questions count as no. */
export async function until(
  what: string,
  question: () => Promise<boolean>,
  withinMs = 40_000,
): Promise<void> {
  let last: unknown;
  for (const deadline = Date.now() + withinMs; ; await sleep(25)) {
    try {
      if (await question()) return;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`Within ${withinMs} ms it did not happen that ${what}.`, { cause: last });
    }
  }
}

/** `a:1\r\nb:2` */
export function fieldsOf(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...text.matchAll(/^([^#:\s]+):(.*?)\r?$/gm)].map(([, name, value]) => [name, value]),
  );
}
