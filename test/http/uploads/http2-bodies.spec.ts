import { Controller, Post, UploadedFile, UseInterceptors } from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-fastify/multipart';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Idempotent, IdempotencyModule, memoryStorage } from 'nestjs-idempotent';
import { once } from 'node:events';
import { connect, type ClientHttp2Session } from 'node:http2';
import { text } from 'node:stream/consumers';
import { startApp, type RunningApp } from '../../support/apps.js';
import { ordersController } from '../support/orders.controller.js';
import { form } from './support/multipart.js';
import { file, title } from './support/two-apps.js';

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

interface Sent {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Over HTTP/2 a body has neither Content-Length nor Transfer-Encoding unless the client says so. */
describe('over HTTP/2, on fastify', () => {
  const serve = async (path: string, controller: new () => object) => {
    const module = {
      imports: [IdempotencyModule.forRoot({ storage: memoryStorage() })],
      controllers: [controller],
    };
    const app: RunningApp = await startApp('fastify', module, () => {}, { http2: true });
    const session: ClientHttp2Session = connect(app.url);
    opened.push(app, session);
    return async ({ body, headers }: Sent = {}) => {
      const head = { ':method': 'POST', ':path': path, 'idempotency-key': 'k', ...headers };
      const stream = session.request(head, { endStream: body === undefined });
      if (body !== undefined) stream.end(body);
      const [answer] = (await once(stream, 'response')) as [Record<string, unknown>];
      return { status: answer[':status'], replayed: answer['idempotent-replayed'], text: await text(stream) };
    };
  };

  it('JSON is told by its members, and from none at all', async () => {
    let runs = 0;
    const post = await serve(
      '/orders',
      ordersController(() => ({ run: (runs += 1) })),
    );
    const headers = { 'content-type': 'application/json' };

    const first = await post({ body: '{"a":1,"b":2}', headers });

    expect(first).toEqual({ status: 201, replayed: undefined, text: '{"run":1}' });
    expect(await post({ body: '{"b":2,"a":1}', headers })).toEqual({ ...first, replayed: 'true' });
    expect((await post({ body: '{"a":1,"b":3}', headers })).status).toBe(422);
    expect((await post()).status).toBe(422);
    expect(runs).toBe(1);
  });

  it('an upload is told by its fields and files', async () => {
    const read: string[] = [];
    @Controller('files')
    class Files {
      @Post()
      @Idempotent()
      @UseInterceptors(FileInterceptor('file'))
      upload(@UploadedFile() { buffer }: { buffer: Buffer }) {
        return { run: read.push(buffer.toString()) };
      }
    }
    const post = await serve('/files', Files);
    const sent = (...parts: Parameters<typeof form>[0]) => {
      const { body, headers } = form(parts);
      return { body, headers: { 'content-type': headers['Content-Type'] ?? '' } };
    };

    const first = await post(sent(title('a'), file()));

    expect(first).toEqual({ status: 201, replayed: undefined, text: '{"run":1}' });
    expect(await post(sent(title('a'), file()))).toEqual({ ...first, replayed: 'true' });
    expect((await post(sent(title('a'), file({ content: 'two' })))).status).toBe(422);
    expect((await post(sent(title('b'), file()))).status).toBe(422);
    expect(read).toEqual(['one']);
  });
});
