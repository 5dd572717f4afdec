import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** One listener for all of a connection: how many requests a client pipelines is its own choice. */
interface Queue {
  readonly dropped: Set<() => void>;
  readonly listener: () => void;
}

const queues = new WeakMap<Socket, Queue>();

/**
 * The connection on which a response waits behind others for its turn; undefined for one that has it, and over HTTP/2,
 * where nobody waits. Node does not tell such a response that the connection is gone.
 */
function queuedOn(response: ServerResponse): Socket | undefined {
  // Mocks and adapters of serverless platforms have less than their types say.
  const { socket, req } = response as { socket: unknown; req?: { socket?: Partial<Socket> } };
  const connection = socket === null ? req?.socket : undefined;
  return typeof connection?.prependListener === 'function' ? (connection as Socket) : undefined;
}

/** Whether the connection has gone while a response waited for its turn. */
export function isDropped(response: ServerResponse): boolean {
  return queuedOn(response)?.destroyed === true;
}

/** Calls `fn` when the connection goes while a response waits for its turn. @returns how to stop waiting */
export function whenDropped(response: ServerResponse, fn: () => void): () => void {
  const connection = queuedOn(response);
  if (connection === undefined) return () => {};
  const { dropped, listener } = queueOf(connection);
  const call = () => {
    // Its turn may have come since; then it hears of the connection itself.
    if (queuedOn(response) !== undefined) fn();
  };
  dropped.add(call);
  return () => {
    dropped.delete(call);
    if (dropped.size > 0 || queues.get(connection)?.dropped !== dropped) return;
    queues.delete(connection);
    connection.removeListener('close', listener);
  };
}

function queueOf(connection: Socket): Queue {
  const known = queues.get(connection);
  if (known !== undefined) return known;
  const dropped = new Set<() => void>();
  const listener = () => {
    for (const call of [...dropped]) call();
  };
  queues.set(connection, { dropped, listener });
  // Before those who then break off what is being made for it.
  connection.prependListener('close', listener);
  return { dropped, listener };
}
