import { Controller, HttpException, Post, Res, StreamableFile, UseInterceptors } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { concat, defer, from, map, of, toArray } from 'rxjs';
import type { AnyResponse } from '../any-response.js';
import { around } from '../around.js';
import { leftByItsClient, leftByItsClientUnsent } from '../early-retries.js';
import { gate, Once } from '../handler-runs.js';
import type { Group } from '../kind.js';

const collecting = around((next) => next.handle().pipe(toArray()));

@Controller('early')
class DepartedClientsController {
  @Post('left')
  @Once()
  async left() {
    await gate.pass();
    return { charged: true };
  }

  @Post('left-observable')
  @Once()
  leftObservable() {
    return defer(() => from(gate.pass())).pipe(map(() => ({ charged: true })));
  }

  @Post('left-emissions')
  @Once()
  leftEmissions() {
    const last = defer(() => from(gate.pass())).pipe(map(() => ({ emitted: 3 })));
    return concat(of({ emitted: 1 }, { emitted: 2 }), last);
  }

  @Post('left-refused')
  @Once()
  async leftRefused() {
    await gate.pass();
    throw new HttpException({ code: 'NO' }, 422);
  }

  @Post('left-answering')
  @Once()
  async leftAnswering(@Res() response: AnyResponse) {
    await gate.pass();
    response.status(202).send({ sent: 'by the handler' });
  }

  @Post('left-collected')
  @UseInterceptors(collecting)
  @Once()
  leftCollected() {
    return concat(of(1, 2), defer(() => from(gate.pass())).pipe(map(() => 3)));
  }

  @Post('left-pipeline')
  @Once()
  async leftPipeline(@Res() response: ServerResponse) {
    await gate.pass();
    await pipeline(Readable.from(slowly('nobody ', 'reads it')), response);
  }

  @Post('left-bytes')
  @Once()
  async leftBytes() {
    await gate.pass();
    return new StreamableFile(Buffer.from('nobody reads it'));
  }

  @Post('left-stream')
  @Once()
  async leftStream() {
    await gate.pass();
    return new StreamableFile(Readable.from(slowly('nobody ', 'reads it')));
  }
}

async function* slowly(...parts: string[]): AsyncGenerator<string> {
  for (const part of parts) {
    await new Promise((resolve) => setImmediate(resolve));
    yield part;
  }
}

export const departedClients: Group = {
  title: 'The client leaves while the handler runs',
  controllers: [DepartedClientsController],
  kinds: [
    {
      name: 'the value of a handler whose client is gone',
      path: '/early/left',
      status: 201,
      answers: '{"charged":true}',
      retry: leftByItsClient,
    },
    {
      name: 'the Observable of a handler whose client is gone',
      path: '/early/left-observable',
      status: 201,
      answers: '{"charged":true}',
      retry: leftByItsClient,
    },
    {
      name: 'the last of several emissions of a handler whose client is gone',
      path: '/early/left-emissions',
      status: 201,
      answers: '{"emitted":3}',
      retry: leftByItsClientUnsent,
    },
    {
      name: 'the array of emissions that an interceptor collects, for a client that is gone,',
      path: '/early/left-collected',
      status: 201,
      answers: '[1,2,3]',
      retry: leftByItsClientUnsent,
    },
    {
      name: 'the refusal of a handler whose client is gone',
      path: '/early/left-refused',
      status: 422,
      answers: '{"code":"NO"}',
      retry: leftByItsClient,
    },
    {
      name: 'the own answer of a handler whose client is gone',
      path: '/early/left-answering',
      status: 202,
      answers: '{"sent":"by the handler"}',
      retry: leftByItsClient,
    },
    {
      name: 'an own answer that the handler awaits, for a client that is gone,',
      path: '/early/left-pipeline',
      status: 201,
      answers: 'nobody reads it',
      on: 'express',
      retry: leftByItsClient,
    },
    {
      name: 'a StreamableFile of bytes for a client that is gone',
      path: '/early/left-bytes',
      status: 201,
      answers: 'nobody reads it',
      retry: leftByItsClient,
    },
    {
      name: 'a StreamableFile of a stream for a client that is gone',
      path: '/early/left-stream',
      status: 201,
      answers: 'nobody reads it',
      retry: leftByItsClient,
    },
  ],
};
