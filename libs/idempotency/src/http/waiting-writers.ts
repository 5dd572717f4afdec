import type { RawResponse } from './raw-response.js';

type Listener = (...args: unknown[]) => void;

/**
 * Those who write to a response that is held, and wait to be told that there is room. Whoever is below us (compression)
 * would keep their listeners for a stream of its own, and that one never was full.
 */
export class WaitingWriters {
  /** Somebody was told to wait. */
  wait = false;
  private readonly listeners: Listener[] = [];

  add(listener: Listener): void {
    this.listeners.push(listener);
  }

  /** Held bytes flow, and from now on the drain of whoever is below wakes them; at once if that one has room. */
  goOn(raw: RawResponse, hasRoom: boolean): void {
    for (const listener of this.listeners) raw.call('on', 'drain', listener);
    if (hasRoom && this.wait) for (const listener of this.listeners) listener.call(raw.response);
  }
}
