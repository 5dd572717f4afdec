import type { ServerResponse } from 'node:http';
import { isDropped, whenDropped } from './connection-queue.js';

type Listener = (...args: unknown[]) => void;

/** What node keeps of a response on the response itself. Http2ServerResponse has none of it. */
interface Connected {
  socket: unknown;
  destroyed: boolean;
  _closed: boolean;
}

/** Whether the connection of a response is closed. */
export function isClosed(response: ServerResponse): boolean {
  const { closed, stream } = response as { closed?: boolean; stream?: { destroyed?: boolean } };
  return (closed ?? stream?.destroyed === true) || isDropped(response);
}

/** Calls `fn` when the connection of a response closes, at once if it is closed. @returns how to stop waiting */
export function whenClosed(response: ServerResponse, fn: () => void): () => void {
  if (isClosed(response)) {
    fn();
    return () => {};
  }
  const stop = whenDropped(response, fn);
  response.once('close', fn);
  return () => {
    stop();
    response.removeListener('close', fn);
  };
}

/**
 * A client that leaves while its response is held back. The answer is still produced and recorded, so those who write it
 * (`pipeline`, `pipe`, `send`) must not give up: for them the response looks like one that waits for its turn on the
 * connection, and they learn that it is closed when all is decided. Who listened before us learns it at once.
 */
export class Departure {
  private readonly told: Readonly<Record<'close' | 'finish', readonly unknown[]>>;
  private readonly emit: (event: string | symbol, ...args: unknown[]) => boolean;
  private readonly leaveQueue: () => void;
  private truth: Connected | true | undefined;

  constructor(
    private readonly response: ServerResponse,
    private readonly isHeld: () => boolean,
    private readonly whenLetGo: (fn: () => void) => void,
  ) {
    const { emit } = response;
    this.emit = (event, ...args) => emit.call(response, event as string, ...args);
    this.told = { close: response.rawListeners('close'), finish: response.rawListeners('finish') };
    Object.assign(response, {
      emit: (event: string | symbol, ...args: unknown[]) => {
        // Over HTTP/2 a stream that is reset is said to have finished, too.
        const isEnd = event === 'close' || event === 'finish';
        if (!isEnd || (this.truth === undefined && !this.isHeld())) return this.emit(event, ...args);
        this.call(event, true);
        if (this.truth === undefined) this.hide();
        return true;
      },
    });
    this.leaveQueue = whenDropped(response, () => {
      if (this.truth === undefined && this.isHeld()) this.hide();
    });
    if (isClosed(response)) this.hide();
  }

  get happened(): boolean {
    return this.truth !== undefined;
  }

  /** The response tells the truth from now on. `true`: the client had left, and nobody knew. */
  reveal(): boolean {
    const { response, truth } = this;
    this.leaveQueue();
    if (truth === undefined) return false;
    this.truth = undefined;
    if (truth !== true) Object.assign(response, truth);
    return true;
  }

  /** Tells those who wrote the response: that it is out, as far as they are concerned, and that it is closed. */
  tell(...events: readonly ('finish' | 'close')[]): void {
    for (const event of events) this.call(event, false);
  }

  /** Tells them before it is true, and not again when it is: what they do next is waited for. */
  tellEarly(): void {
    const { response } = this;
    for (const event of ['finish', 'close'] as const) {
      for (const listener of response.rawListeners(event) as Listener[]) {
        if (this.told[event].includes(listener)) continue;
        response.removeListener(event, listener);
        listener.call(response);
      }
    }
  }

  private call(event: 'close' | 'finish', told: boolean): void {
    const { response } = this;
    for (const listener of response.rawListeners(event)) {
      if (this.told[event].includes(listener) === told) (listener as Listener).call(response);
    }
  }

  private hide(): void {
    const { response } = this;
    if (Object.hasOwn(response, '_closed')) {
      const { socket } = response;
      this.truth = { socket, destroyed: true, _closed: true };
      Object.assign(response, { socket: null, destroyed: false, _closed: false } satisfies Connected);
    } else this.truth = true;
    // A handler that waits for nothing but the end of its client must not wait for ever.
    this.whenLetGo(() => {
      if (this.reveal()) this.tell('close');
    });
  }
}
