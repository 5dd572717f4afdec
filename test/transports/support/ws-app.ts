import { afterEach } from '@jest/globals';
import type { ModuleMetadata } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import type { IdempotencyModuleOptions } from 'nestjs-idempotent';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';
import { start, type RunningApp } from '../../http/support/apps.js';

/** A client of a gateway. */
export interface Peer {
  /** Sends a message, and answers with what comes for it: `{ event, data }`, the acknowledgement, or `{ exception }`. */
  ask(event: string, data: unknown): Promise<unknown>;
  /** The next `count` messages after sending one, as `[event, data]`. */
  askFor(count: number, event: string, data: unknown): Promise<readonly unknown[]>;
  /** Sends and waits for nothing. */
  tell(event: string, data: unknown): void;
  close(): void;
}

export interface WsAdapterKind {
  readonly name: string;
  readonly adapter: typeof IoAdapter | typeof WsAdapter;
  connect(app: RunningApp, place?: string): Promise<Peer>;
}

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

export const socketIo: WsAdapterKind = { name: 'socket.io', adapter: IoAdapter, connect: connectSocketIo };
export const adapters: readonly WsAdapterKind[] = [
  socketIo,
  { name: 'ws', adapter: WsAdapter, connect: connectWs },
];

export function startWs(
  { adapter }: WsAdapterKind,
  module: ModuleMetadata & { readonly options?: IdempotencyModuleOptions },
): Promise<RunningApp> {
  return start('express', { ...module, prepare: (app) => void app.useWebSocketAdapter(new adapter(app)) });
}

async function connectSocketIo({ url }: RunningApp, place = ''): Promise<Peer> {
  const socket = io(`${url}${place}`, { transports: ['websocket'], forceNew: true });
  closers.push(() => socket.disconnect());
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  return {
    ask: (event, data) =>
      new Promise((resolve) => {
        const failed = (exception: unknown) => resolve({ exception });
        socket.once('exception', failed);
        socket.emit(event, data, (reply: unknown) => {
          socket.off('exception', failed);
          resolve(reply);
        });
      }),
    askFor: (count, event, data) =>
      new Promise((resolve) => {
        const got: unknown[] = [];
        const listener = (name: string, value: unknown) => {
          got.push([name, value]);
          if (got.length < count) return;
          socket.offAny(listener);
          resolve(got);
        };
        socket.onAny(listener);
        socket.emit(event, data);
      }),
    tell: (event, data) => void socket.emit(event, data),
    close: () => socket.disconnect(),
  };
}

async function connectWs({ url }: RunningApp, place = '/'): Promise<Peer> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}${place}`);
  closers.push(() => socket.terminate());
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const send = (event: string, data: unknown) => socket.send(JSON.stringify({ event, data }));
  const next = () =>
    new Promise<unknown>((resolve) => {
      socket.once('message', (bytes: Buffer) => resolve(JSON.parse(bytes.toString())));
    });
  return {
    ask: async (event, data) => {
      const reply = next();
      send(event, data);
      const said = await reply;
      const { event: name, data: exception } = (said ?? {}) as { event?: string; data?: unknown };
      return name === 'exception' ? { exception } : said;
    },
    askFor: async (count, event, data) => {
      const got: unknown[] = [];
      const all = new Promise<void>((resolve) => {
        const listener = (bytes: Buffer) => {
          const { event: name, data: value } = JSON.parse(bytes.toString()) as {
            event: string;
            data: unknown;
          };
          if (got.push([name, value]) < count) return;
          socket.off('message', listener);
          resolve();
        };
        socket.on('message', listener);
      });
      send(event, data);
      await all;
      return got;
    },
    tell: send,
    close: () => socket.close(),
  };
}
