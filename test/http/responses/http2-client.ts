import { once } from 'node:events';
import { connect, constants, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';
import { jsonOf, receivedFrom, type Client, type Received, type Sent } from './http-client.js';

/** All requests share one session, as those of a browser do. */
export function http2Client(origin: string): Client {
  const session = connect(origin);
  const open = ({ method, path, headers = {}, body }: Sent): ClientHttp2Stream => {
    const { payload, described } = jsonOf(body);
    const head = { ':method': method, ':path': path, ...described, ...headers };
    const stream = session.request(head, { endStream: payload === undefined });
    if (payload !== undefined) stream.end(payload);
    return stream;
  };
  return {
    send: (sent) => answerOf(open(sent)),
    sendAndLeave: (sent) => {
      const stream = open(sent);
      stream.once('error', () => {});
      return () => stream.close(constants.NGHTTP2_CANCEL);
    },
    close: () => session.destroy(),
  };
}

async function answerOf(stream: ClientHttp2Stream): Promise<Received> {
  let trailers: Received['headers'] = [];
  stream.once('trailers', (received: IncomingHttpHeaders) => (trailers = pairsOf(received)));
  const informed: number[] = [];
  stream.on('headers', (early: { ':status': number }) => informed.push(early[':status']));
  const [head] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }];
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) throw new Error(`reset with ${stream.rstCode}`);
  // A reason phrase is one of HTTP/1.1 alone.
  const came = { status: head[':status'], reason: '', headers: pairsOf(head), trailers, informed };
  return receivedFrom(came, Buffer.concat(chunks));
}

function pairsOf(headers: IncomingHttpHeaders): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith(':') || value === undefined
      ? []
      : [value].flat().map((item): [string, string] => [name, String(item)]),
  );
}
