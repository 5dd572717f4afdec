import { Controller, HttpCode, Next, Post, Req, Res } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';
import { createReadStream } from 'node:fs';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { Once } from '../handler-runs.js';
import type { Group, Kind } from '../kind.js';

const FILE = fileURLToPath(import.meta.url);

/** Handlers that send the response by themselves: here Nest does nothing, and neither do its interceptors. */
@Controller('own')
class ExpressAnswersController {
  @Post('json')
  @Once()
  json(@Res() response: Response) {
    response.status(202).json({ sent: 'by the handler' });
  }

  @Post('send')
  @Once()
  send(@Res() response: Response) {
    return response.type('text/html').send('<p>ü</p>');
  }

  @Post('send-buffer')
  @Once()
  sendBuffer(@Res() response: Response) {
    response.send(Buffer.from([0, 255, 128]));
  }

  @Post('send-status')
  @Once()
  sendStatus(@Res() response: Response) {
    response.sendStatus(202);
  }

  @Post('later')
  @Once()
  later(@Res() response: Response) {
    setImmediate(() => setImmediate(() => response.json({ sent: 'after the handler returned' })));
  }

  @Post('early')
  @Once()
  async early(@Res() response: Response) {
    response.json({ sent: 'before the handler returned' });
    await new Promise((resolve) => setImmediate(resolve));
  }

  @Post('pipe')
  @Once()
  pipe(@Res() response: Response) {
    createReadStream(FILE).pipe(response.type('text/plain'));
  }

  @Post('pipeline')
  @Once()
  async pipeline(@Res() response: Response) {
    await pipeline(Readable.from(['one ', 'two']), response.type('text/plain'));
  }

  @Post('finished')
  @Once()
  async finished(@Res() response: Response) {
    response.json({ awaited: 'until it is out' });
    await finished(response);
  }

  @Post('once-finish')
  @Once()
  async onceFinish(@Res() response: Response) {
    const out = once(response, 'finish');
    response.json({ awaited: 'by an event' });
    await out;
  }

  @Post('send-file')
  @Once()
  sendFile(@Res() response: Response) {
    response.sendFile(FILE);
  }

  @Post('download')
  @Once()
  async download(@Res() response: Response) {
    await new Promise<void>((resolve, reject) =>
      response.download(FILE, 'code.ts', (error) => (error ? reject(error) : resolve())),
    );
  }

  @Post('redirect')
  @Once()
  redirect(@Res() response: Response) {
    response.redirect(303, '/orders/1');
  }

  @Post('passthrough')
  @Once()
  passthrough(@Res({ passthrough: true }) response: Response) {
    response.status(202).set('X-Set', 'by passthrough').cookie('seen', '1');
    return { sent: 'by Nest' };
  }

  @Post('request-res')
  @HttpCode(200)
  @Once()
  requestRes(@Req() request: Request) {
    request.res?.status(202).json({ sent: 'through request.res' });
  }

  @Post('next')
  @Once()
  next(@Next() next: NextFunction) {
    next();
  }

  @Post('throws-after')
  @Once()
  async throwsAfter(@Res() response: Response) {
    response.status(409).json({ sent: 'then it threw' });
    await new Promise((resolve) => setImmediate(resolve));
    throw new Error('after the answer');
  }
}

export const expressAnswers: Group = {
  title: 'Answers of the handler itself, on Express',
  controllers: [ExpressAnswersController],
  kinds: (
    [
      { name: 'res.json()', path: '/own/json', status: 202, answers: '{"sent":"by the handler"}' },
      { name: 'res.send() of text', path: '/own/send', status: 201, answers: '<p>ü</p>' },
      { name: 'res.send() of a Buffer', path: '/own/send-buffer', status: 201 },
      { name: 'res.sendStatus()', path: '/own/send-status', status: 202, answers: 'Accepted' },
      { name: 'res.json() after the handler returned', path: '/own/later', status: 201, answers: /after/ },
      { name: 'res.json() before the handler returned', path: '/own/early', status: 201, answers: /before/ },
      { name: 'stream.pipe(res)', path: '/own/pipe', status: 201, answers: /stream\.pipe\(res\)/ },
      { name: 'await pipeline(stream, res)', path: '/own/pipeline', status: 201, answers: 'one two' },
      { name: 'await finished(res)', path: '/own/finished', status: 201, answers: /until it is out/ },
      { name: "await once(res, 'finish')", path: '/own/once-finish', status: 201, answers: /by an event/ },
      { name: 'res.sendFile()', path: '/own/send-file', status: 201, answers: /res\.sendFile\(\)/ },
      {
        name: 'an awaited res.download()',
        path: '/own/download',
        status: 201,
        has: { 'content-disposition': 'attachment; filename=code.ts' },
      },
      { name: 'res.redirect()', path: '/own/redirect', status: 303, has: { location: '/orders/1' } },
      {
        name: '@Res({ passthrough: true })',
        path: '/own/passthrough',
        status: 202,
        answers: '{"sent":"by Nest"}',
        has: { 'x-set': 'by passthrough', 'set-cookie': 'seen=1; Path=/' },
      },
      {
        name: 'an answer through request.res',
        path: '/own/request-res',
        status: 202,
        answers: /request\.res/,
      },
      { name: 'a 404 after next()', path: '/own/next', status: 404, answers: /Cannot POST/ },
      { name: 'res.json() of a handler that throws afterwards', path: '/own/throws-after', status: 409 },
    ] satisfies Kind[]
  ).map((kind) => ({ ...kind, on: 'express' as const })),
};
