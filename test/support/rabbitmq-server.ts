import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.js';
import { keepProcess, type KeptProcess } from './kept-process.js';

export interface RabbitServer {
  readonly port: number;
  /** Of the user `guest`, on the default virtual host. */
  readonly url: string;
  /** Ends it as an operator would, or as a crash would. Its data are kept for `start()`. */
  halt(how: 'gracefully' | 'at once'): Promise<void>;
  /** After `halt()`: on the same port, with the same data. */
  start(): Promise<void>;
  /** Ends it at once, and removes its data. */
  stop(): Promise<void>;
}

/** Behind the `rabbitmq-server` of the PATH, which on Debian becomes another user first. */
const PROGRAMS = ['/usr/lib/rabbitmq/bin/rabbitmq-server', '/opt/homebrew/sbin/rabbitmq-server'];
/** Erlang takes its time, on a busy machine more of it. */
const READY_WITHIN_MS = 90_000;
const ATTEMPTS = 3;

/** Starts a real RabbitMQ on 127.0.0.1, with an epmd of its own. It never outlives this process. */
export async function startRabbit(): Promise<RabbitServer> {
  for (let attempt = 1; ; attempt += 1) {
    const server = new Rabbit(await freePort());
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.stop();
      // Somebody else may have taken a port since it was found free.
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

class Rabbit implements RabbitServer {
  readonly url: string;
  private readonly dir = mkdtempSync(join(tmpdir(), 'test-rabbitmq-'));
  private readonly log = join(this.dir, 'rabbitmq.log');
  private epmd: KeptProcess | undefined;
  private server: KeptProcess | undefined;

  constructor(readonly port: number) {
    this.url = `amqp://guest:guest@127.0.0.1:${port}`;
    mkdirSync(join(this.dir, 'home'));
    writeFileSync(join(this.dir, 'enabled_plugins'), '[].');
    writeFileSync(join(this.dir, 'rabbitmq.conf'), 'log.console = false\nlog.file.level = warning\n');
  }

  async start(): Promise<void> {
    const program = PROGRAMS.find((path) => existsSync(path));
    if (program === undefined) throw new Error('rabbitmq-server is not there: run `npm run pretest`.');
    const [epmdPort, peerPort] = [await freePort(), await freePort()];
    const home = { HOME: join(this.dir, 'home'), ERL_EPMD_ADDRESS: '127.0.0.1' };
    this.epmd = await keepProcess(['epmd', '-port', String(epmdPort)], this.log, home);
    const env = this.environment(epmdPort, peerPort);
    // With input allowed the script does not stay between us and the server.
    this.server = await keepProcess([program, '-noinput'], this.log, { ...home, ...env });
    await this.ready(this.server);
  }

  async halt(how: 'gracefully' | 'at once'): Promise<void> {
    await (how === 'gracefully' ? this.server?.end() : this.server?.kill());
    await this.epmd?.kill();
  }

  async stop(): Promise<void> {
    await this.halt('at once');
    // Helpers of Erlang notice a little later that it is gone, and may still write.
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }

  private environment(epmdPort: number, peerPort: number): Record<string, string> {
    return {
      ERL_EPMD_PORT: String(epmdPort),
      RABBITMQ_NODENAME: `test${this.port}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(this.port),
      RABBITMQ_DIST_PORT: String(peerPort),
      RABBITMQ_MNESIA_BASE: join(this.dir, 'mnesia'),
      RABBITMQ_LOG_BASE: this.dir,
      RABBITMQ_LOGS: join(this.dir, 'rabbit.log'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(this.dir, 'enabled_plugins'),
      RABBITMQ_CONF_ENV_FILE: join(this.dir, 'none'),
      RABBITMQ_CONFIG_FILE: join(this.dir, 'rabbitmq.conf'),
      RABBITMQ_ALLOW_INPUT: '1',
      // On loopback alone, and without spinning while there is nothing to do.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
        '-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none +S 2:2',
    };
  }

  private async ready(server: KeptProcess): Promise<void> {
    let ended = false;
    void server.ended.then(() => (ended = true));
    for (const deadline = Date.now() + READY_WITHIN_MS; ; await sleep(20)) {
      if (await this.greets()) return;
      if (ended || Date.now() > deadline) throw new Error(`RabbitMQ did not start. ${this.lastWords()}`);
    }
  }

  /** Whether it answers as AMQP 0-9-1 begins. Its listener opens last. */
  private greets(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1', () => socket.write('AMQP\0\0\x09\x01'));
      socket.setTimeout(1000, () => socket.destroy());
      socket.once('data', (data) => {
        resolve(data.includes('RabbitMQ'));
        socket.destroy();
      });
      socket.once('error', () => resolve(false));
      socket.once('close', () => resolve(false));
    });
  }

  private lastWords(): string {
    return ['rabbitmq.log', 'rabbit.log']
      .map((name) => join(this.dir, name))
      .filter((path) => existsSync(path))
      .map((path) => readFileSync(path, 'utf8').trim().split('\n').slice(-5).join('\n'))
      .join('\n');
  }
}
