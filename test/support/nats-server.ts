import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.js';
import { keepProcess, type KeptProcess } from './kept-process.js';

export interface NatsServer {
  readonly port: number;
  readonly url: string;
  /** Ends it at once, and removes its data. */
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 20_000;
const ATTEMPTS = 3;

/** Starts a real `nats-server` with JetStream on 127.0.0.1. It never outlives this process. */
export async function startNats(): Promise<NatsServer> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(await freePort());
    } catch (error) {
      // Somebody else may have taken the port since it was found free.
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

async function startOnce(port: number): Promise<NatsServer> {
  const dir = mkdtempSync(join(tmpdir(), 'test-nats-'));
  const log = join(dir, 'nats.log');
  const args = ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', join(dir, 'data')];
  // Debian puts it where not everybody's PATH leads.
  const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` };
  const server = await keepProcess(['nats-server', ...args], log, env);
  const stop = async () => {
    await server.kill();
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await ready(port, server);
  } catch (error) {
    const said = readFileSync(log, 'utf8').trim().split('\n').slice(-3).join('\n');
    await stop();
    throw new Error(`nats-server did not start on port ${port}. ${said}`, { cause: error });
  }
  return { port, url: `nats://127.0.0.1:${port}`, stop };
}

async function ready(port: number, server: KeptProcess): Promise<void> {
  let ended = false;
  void server.ended.then(() => (ended = true));
  for (const deadline = Date.now() + READY_WITHIN_MS; ; await sleep(10)) {
    if (await greets(port)) return;
    if (ended) throw new Error('It is not on the PATH, or ended: run `npm run pretest`.');
    if (Date.now() > deadline) throw new Error('It does not answer.');
  }
}

/** A server of NATS speaks first. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.setTimeout(1000, () => socket.destroy());
    socket.once('data', (data) => {
      resolve(data.toString().startsWith('INFO'));
      socket.destroy();
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
