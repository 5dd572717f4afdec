import { Body, Controller, HttpException, Post, Res, StreamableFile } from '@nestjs/common';
import { Idempotent, IdempotencyKey, IdempotentOp, IdempotentOperation } from 'nestjs-idempotent';
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { concat, defer, from, map, of, type Observable } from 'rxjs';

/** What a client asks for: which handler, and how long that works before and after half of its answer. */
export interface Work {
  readonly beforeMs: number;
  readonly afterMs: number;
}

/** What Express' response and Fastify's reply have in common. */
interface Reply {
  status(code: number): Reply;
  send(body: unknown): unknown;
  readonly raw?: ServerResponse;
}

/** What each run of a handler has made for a key, and what was lent to it. */
export interface Runs {
  readonly answers: Map<string, string[]>;
  readonly signals: Set<AbortSignal>;
  readonly responses: Set<ServerResponse>;
}

export const departingKinds = [
  'value',
  'refusal',
  'observable',
  'emissions',
  'bytes',
  'stream',
  'objects',
  'answers',
  'answers-later',
  'answers-and-works-on',
  'pipeline',
  'pipe',
] as const;
export type DepartingKind = (typeof departingKinds)[number];

/** A controller of its own for each test, so that none counts the runs of another. */
export function departingController(runs: Runs) {
  const begin = (key: string, op: IdempotentOperation, reply: Reply): string => {
    // Bytes that no other run makes, and more than a socket takes at once.
    const answer = `${key} ${randomUUID()} ${'x'.repeat(20_000)}`;
    runs.answers.set(key, [...(runs.answers.get(key) ?? []), answer]);
    runs.signals.add(op.signal);
    runs.responses.add(rawOf(reply));
    return answer;
  };

  @Controller('work')
  class Working {
    @Post('value')
    @Idempotent()
    async value(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res({ passthrough: true }) reply: Reply,
    ) {
      const answer = begin(key, op, reply);
      await sleep(work.beforeMs);
      return { answer };
    }

    @Post('refusal')
    @Idempotent()
    async refusal(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res({ passthrough: true }) reply: Reply,
    ) {
      const answer = begin(key, op, reply);
      await sleep(work.beforeMs);
      throw new HttpException({ answer }, 402);
    }

    @Post('observable')
    @Idempotent()
    observable(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res({ passthrough: true }) reply: Reply,
    ): Observable<unknown> {
      return defer(() => {
        const answer = begin(key, op, reply);
        return from(sleep(work.beforeMs)).pipe(map(() => ({ answer })));
      });
    }

    @Post('emissions')
    @Idempotent()
    emissions(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res({ passthrough: true }) reply: Reply,
    ): Observable<unknown> {
      const answer = begin(key, op, reply);
      return concat(of({ first: true }), from(sleep(work.beforeMs)).pipe(map(() => ({ answer }))));
    }

    @Post('bytes')
    @Idempotent()
    async bytes(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res({ passthrough: true }) reply: Reply,
    ) {
      const answer = begin(key, op, reply);
      await sleep(work.beforeMs);
      return new StreamableFile(Buffer.from(answer));
    }

    @Post('stream')
    @Idempotent()
    async stream(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res({ passthrough: true }) reply: Reply,
    ) {
      const answer = begin(key, op, reply);
      await sleep(work.beforeMs);
      return new StreamableFile(Readable.from(halves(answer, work.afterMs), { objectMode: false }));
    }

    @Post('objects')
    @Idempotent()
    async objects(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res({ passthrough: true }) reply: Reply,
    ) {
      const answer = begin(key, op, reply);
      await sleep(work.beforeMs);
      return new StreamableFile(Readable.from(halves(answer, work.afterMs)));
    }

    @Post('answers')
    @Idempotent()
    async answers(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res() reply: Reply,
    ) {
      const answer = begin(key, op, reply);
      await sleep(work.beforeMs);
      reply.status(202).send({ answer });
    }

    @Post('answers-later')
    @Idempotent()
    answersLater(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res() reply: Reply,
    ): void {
      const answer = begin(key, op, reply);
      setTimeout(() => reply.status(202).send({ answer }), work.beforeMs);
    }

    @Post('answers-and-works-on')
    @Idempotent()
    async answersAndWorksOn(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res() reply: Reply,
    ) {
      const answer = begin(key, op, reply);
      await sleep(work.beforeMs);
      reply.status(202).send({ answer });
      await sleep(work.afterMs);
      throw new Error('after the answer');
    }

    @Post('pipeline')
    @Idempotent()
    async pipeline(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res() reply: Reply,
    ) {
      const answer = begin(key, op, reply);
      await sleep(work.beforeMs);
      await pipeline(Readable.from(halves(answer, work.afterMs)), rawOf(reply));
    }

    @Post('pipe')
    @Idempotent()
    async pipe(
      @IdempotencyKey() key: string,
      @IdempotentOp() op: IdempotentOperation,
      @Body() work: Work,
      @Res() reply: Reply,
    ) {
      const answer = begin(key, op, reply);
      await sleep(work.beforeMs);
      Readable.from(halves(answer, work.afterMs)).pipe(rawOf(reply));
    }
  }
  return Working;
}

function rawOf(reply: Reply): ServerResponse {
  return reply.raw ?? (reply as unknown as ServerResponse);
}

async function* halves(answer: string, pauseMs: number): AsyncGenerator<string> {
  yield answer.slice(0, answer.length / 2);
  await sleep(pauseMs);
  yield answer.slice(answer.length / 2);
}
