import type { ServerResponse } from 'node:http';

/** What a response that is held back looks like to those who write it. */
export interface SentState {
  readonly committed: boolean;
  readonly ended: boolean;
}

const STATE = Symbol('sent state');
type Pretending = ServerResponse & { [STATE]: SentState };

/** Shared by all responses: a getter of each response's own costs 5 µs. */
const properties: PropertyDescriptorMap = {
  headersSent: {
    configurable: true,
    get(this: Pretending) {
      return this[STATE].committed;
    },
  },
  writableEnded: {
    configurable: true,
    get(this: Pretending) {
      return this[STATE].ended;
    },
  },
};

/** Frameworks ask these before they answer a second time; the truth would be "not yet" for as long as bytes are held. */
export function pretendSent(response: ServerResponse, state: SentState): void {
  (response as Pretending)[STATE] = state;
  Object.defineProperties(response, properties);
}

/** From now on the response tells the truth. */
export function stopPretending(response: ServerResponse): void {
  delete (response as { headersSent?: boolean }).headersSent;
  delete (response as { writableEnded?: boolean }).writableEnded;
}

/** What node throws to those who come too late. */
export function headersSent(verb: 'set' | 'write'): Error {
  const error = new Error(`Cannot ${verb} headers after they are sent to the client`);
  return Object.assign(error, { code: 'ERR_HTTP_HEADERS_SENT' });
}
