import { Controller, Post, Res } from '@nestjs/common';
import type { Response } from 'express';
import { Once } from '../handler-runs.js';
import type { Group, Kind } from '../kind.js';

/** Handlers that send the response by themselves: here Nest does nothing, and neither do its interceptors. */
@Controller('own')
class ExpressRawAnswersController {
  @Post('end')
  @Once()
  end(@Res() response: Response) {
    response.status(200).end();
  }

  @Post('end-callback')
  @Once()
  async endCallback(@Res() response: Response) {
    await new Promise<void>((resolve) => response.end('awaited by a callback', () => resolve()));
  }

  @Post('write-callback')
  @Once()
  async writeCallback(@Res() response: Response) {
    await new Promise((resolve) => response.write('one ', resolve));
    await new Promise((resolve) => response.write('two', 'latin1', resolve));
    response.end();
  }

  @Post('write-head')
  @Once()
  writeHead(@Res() response: Response) {
    response
      .writeHead(202, { 'Content-Type': 'text/plain', 'X-Number': 7, 'X-List': ['a', 'b'] })
      .end('object');
  }

  @Post('write-head-flat')
  @Once()
  writeHeadFlat(@Res() response: Response) {
    response.writeHead(202, 'Taken', ['Content-Type', 'text/plain', 'X-One', '1']).end('array');
  }

  @Post('write-head-alone')
  @Once()
  writeHeadAlone(@Res() response: Response) {
    response.writeHead(202).end();
  }

  @Post('write-empty')
  @Once()
  writeEmpty(@Res() response: Response) {
    response.write('');
    response.end();
  }

  @Post('flush-headers')
  @Once()
  flushHeaders(@Res() response: Response) {
    response.type('text/plain').flushHeaders();
    response.end('after the head');
  }

  @Post('writes')
  @Once()
  async writes(@Res() response: Response) {
    response.type('text/plain');
    for (const part of ['one ', Buffer.from('two '), new TextEncoder().encode('three')]) {
      response.write(part);
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end();
  }

  @Post('twice')
  @Once()
  twice(@Res() response: Response) {
    response.end('first');
    response.end('second');
  }

  @Post('reused-buffer')
  @Once()
  async reusedBuffer(@Res() response: Response) {
    const buffer = Buffer.alloc(4);
    for (const part of ['one ', 'two ']) {
      buffer.write(part);
      await new Promise((resolve) => response.write(buffer, resolve));
    }
    response.end();
  }
}

export const expressRawAnswers: Group = {
  title: 'Answers of the handler itself by methods of node, on Express',
  controllers: [ExpressRawAnswersController],
  kinds: (
    [
      { name: 'res.end() without a body', path: '/own/end', status: 200, answers: '' },
      {
        name: 'res.end() with an awaited callback',
        path: '/own/end-callback',
        status: 201,
        answers: /callback/,
      },
      {
        name: 'res.write() with awaited callbacks',
        path: '/own/write-callback',
        status: 201,
        answers: 'one two',
        // compression never calls them.
        brokenWithoutUs: ({ compressed }) => compressed,
      },
      {
        name: 'res.writeHead() with an object',
        path: '/own/write-head',
        status: 202,
        answers: 'object',
        has: { 'x-number': '7', 'x-list': 'a, b', 'transfer-encoding': 'chunked' },
      },
      {
        name: 'res.writeHead() with a reason and a flat array',
        path: '/own/write-head-flat',
        status: 202,
        answers: 'array',
        has: { 'x-one': '1' },
      },
      { name: 'res.writeHead() without a body', path: '/own/write-head-alone', status: 202, answers: '' },
      { name: 'res.write() of nothing', path: '/own/write-empty', status: 201, answers: '' },
      { name: 'res.flushHeaders()', path: '/own/flush-headers', status: 201, answers: 'after the head' },
      { name: 'res.write() several times', path: '/own/writes', status: 201, answers: 'one two three' },
      {
        name: 'res.end() twice',
        path: '/own/twice',
        status: 201,
        answers: 'first',
        // Node ends the process: nobody listens for the error of the second one.
        brokenWithoutUs: () => true,
      },
      { name: 'one Buffer written twice', path: '/own/reused-buffer', status: 201, answers: 'one two ' },
    ] satisfies Kind[]
  ).map((kind) => ({ ...kind, on: 'express' as const })),
};
