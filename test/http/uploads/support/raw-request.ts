import { once } from 'node:events';
import { connect } from 'node:net';
import type { Received } from '../../support/requests.js';

/** Sends the very bytes of a head and a body, framed as the head says, and reads what comes back until the connection ends. */
export async function sendBytes(
  { url }: { readonly url: string },
  head: readonly string[],
  body: string | Uint8Array = '',
): Promise<Received> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  const lines = [...head, 'Host: test', 'Connection: close', '', ''];
  socket.write(Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), Buffer.from(body)]));
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  await once(socket, 'close');
  return parsed(Buffer.concat(chunks).toString());
}

function parsed(answer: string): Received {
  const cut = answer.indexOf('\r\n\r\n');
  const [status = '', ...lines] = answer.slice(0, cut).split('\r\n');
  const headers = new Headers(lines.map((line) => line.split(/: ?(.*)/s).slice(0, 2) as [string, string]));
  const text = answer.slice(cut + 4);
  return { status: Number(status.split(' ')[1]), headers, text, json: json(text) };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
