import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.js';

export interface TcpProxy {
  readonly port: number;
  /** From now on what the server says is kept back; what the client says still goes through. */
  holdReplies(): void;
  releaseReplies(): void;
  /** Ends every connection; the next ones lead to another server, as when an address is given to another machine. */
  pointTo(serverPort: number): void;
  /** How many times the client has said `text`. */
  count(text: string): number;
  /** Resolves when the client has said `text` so many times since the proxy was started. */
  heard(text: string, times: number): Promise<void>;
  close(): Promise<void>;
}

const HEARD_WITHIN_MS = 3_000;

/** Stands between a client and a server on 127.0.0.1, to see what is said and to keep answers back. */
export async function startTcpProxy(serverPort: number): Promise<TcpProxy> {
  const port = await freePort();
  const sockets = new Set<Socket>();
  const held: (() => void)[] = [];
  let target = serverPort;
  let holding = false;
  let said = '';

  const listener = createServer((client) => {
    const server = connect(target, '127.0.0.1');
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy()).on('close', () => other.destroy());
    }
    client.on('data', (data) => {
      said += data.toString('latin1');
      server.write(data);
    });
    server.on('data', (data) => {
      if (holding) held.push(() => client.write(data));
      else client.write(data);
    });
  }).listen(port, '127.0.0.1');
  await once(listener, 'listening');

  const count = (text: string) => said.split(text).length - 1;
  return {
    port,
    holdReplies() {
      holding = true;
    },
    releaseReplies() {
      holding = false;
      for (const write of held.splice(0)) write();
    },
    count,
    pointTo(other) {
      target = other;
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    async heard(text, times) {
      for (const deadline = Date.now() + HEARD_WITHIN_MS; ; await sleep(5)) {
        const told = count(text);
        if (told >= times) return;
        if (Date.now() > deadline) throw new Error(`The client said ${text} ${told} times, not ${times}.`);
      }
    },
    async close() {
      listener.close();
      for (const socket of sockets) socket.destroy();
      await once(listener, 'close');
    },
  };
}
