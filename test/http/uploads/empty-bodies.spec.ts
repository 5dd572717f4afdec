import type { NestExpressApplication } from '@nestjs/platform-express';
import { describe, expect, it } from '@jest/globals';
import { platforms } from '../support/apps.js';
import { expectProblem, expectReplayOf } from '../support/requests.js';
import { bodyApps, leaveUnread, rawParser } from './support/body-app.js';
import { sendBytes } from './support/raw-request.js';

/** Ways to send nothing, and what a request line is followed by. */
const NOTHING = {
  'no header at all': [[], ''],
  'Content-Length: 0': [['Content-Length: 0'], ''],
  'Content-Length: 0 and a type': [['Content-Length: 0', 'Content-Type: text/plain'], ''],
  'chunks of nothing': [['Transfer-Encoding: chunked'], '0\r\n\r\n'],
  'chunks of nothing as text': [['Transfer-Encoding: chunked', 'Content-Type: text/plain'], '0\r\n\r\n'],
  'chunks of nothing as bytes': [
    ['Transfer-Encoding: chunked', 'Content-Type: application/octet-stream'],
    '0\r\n\r\n',
  ],
  'chunks of nothing that nobody reads': [
    ['Transfer-Encoding: chunked', 'Content-Type: application/x-unread'],
    '0\r\n\r\n',
  ],
  'a form of nothing': [['Content-Length: 0', 'Content-Type: application/x-www-form-urlencoded'], ''],
  'JSON of nothing': [['Content-Length: 0', 'Content-Type: application/json'], ''],
} as const satisfies Record<string, readonly [readonly string[], string]>;

describe.each(platforms)('an empty body, on %s', (platform) => {
  const set = () =>
    bodyApps(platform, {
      prepare: (app) => {
        rawParser(platform, 'application/octet-stream')(app);
        leaveUnread(platform, 'application/x-unread')(app);
        if (platform === 'express') (app as NestExpressApplication).useBodyParser('text');
      },
    });
  const head = (lines: readonly string[]) => ['POST /orders HTTP/1.1', 'Idempotency-Key: k', ...lines];
  /** What Fastify refuses before anybody else sees it. */
  const refusedByFastify: Readonly<Record<string, number>> = {
    'chunks of nothing': 415,
    'JSON of nothing': 400,
  };

  it.each(Object.entries(NOTHING))('is the same as none, sent as %s', async (name, [lines, bytes]) => {
    const { post, next, bodies } = await set();
    const refusal = platform === 'fastify' ? refusedByFastify[name] : undefined;

    const first = await sendBytes(next(), head(lines), bytes);

    if (refusal !== undefined) {
      expect(first.status).toBe(refusal);
      expect(String(first.json.code)).not.toMatch(/^fingerprint|^key/);
      expect(bodies).toHaveLength(0);
      return;
    }
    expect(first.status).toBe(201);
    expectReplayOf(first, await sendBytes(next(), head(lines), bytes));
    expectReplayOf(first, await post());
    expectProblem(await post({ body: { a: 1 } }), 422, 'key-reused');
    expect(bodies).toHaveLength(1);
  });

  it('is another one than JSON of an empty object, list or text', async () => {
    const { post, bodies } = await set();
    await post();

    for (const body of ['{}', '[]', '""']) {
      const answer = await post({ body, headers: { 'Content-Type': 'application/json' } });
      // Express takes objects and lists alone for JSON.
      if (answer.status === 400) expect(answer.json.code).toBeUndefined();
      else expectProblem(answer, 422, 'key-reused');
    }
    expect(bodies).toHaveLength(1);
  });
});
