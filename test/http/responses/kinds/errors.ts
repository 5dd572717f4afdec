import {
  BadGatewayException,
  Controller,
  GatewayTimeoutException,
  HttpException,
  NotFoundException,
  Post,
  RequestTimeoutException,
  Res,
} from '@nestjs/common';
import { throwError } from 'rxjs';
import type { AnyResponse } from '../any-response.js';
import { Once } from '../handler-runs.js';
import type { Group } from '../kind.js';
import { runsAgain } from '../retries.js';

@Controller('errors')
class ErrorsController {
  @Post('not-found')
  @Once()
  notFound() {
    throw new NotFoundException('order 1');
  }

  @Post('own-body')
  @Once()
  async ownBody(@Res({ passthrough: true }) response: AnyResponse) {
    response.header('X-Reason', 'stock');
    response.header('Retry-After', '3600');
    throw new HttpException({ code: 'OUT_OF_STOCK', sku: 'Ä-1' }, 422);
  }

  @Post('text')
  @Once()
  text() {
    throw new HttpException('teapot', 418);
  }

  @Post('redirecting')
  @Once()
  redirecting(@Res({ passthrough: true }) response: AnyResponse) {
    response.header('Location', '/elsewhere');
    throw new HttpException('', 302);
  }

  @Post('declined')
  @Once()
  declined() {
    return throwError(() => new HttpException('declined', 402));
  }

  @Post('timeout')
  @Once()
  timeout() {
    throw new RequestTimeoutException();
  }

  @Post('too-early')
  @Once()
  tooEarly() {
    throw new HttpException('too early', 425);
  }

  @Post('too-many')
  @Once()
  tooMany(@Res({ passthrough: true }) response: AnyResponse) {
    response.header('Retry-After', '1');
    throw new HttpException('slow down', 429);
  }

  @Post('bad-gateway')
  @Once()
  badGateway() {
    throw new BadGatewayException('the bank is down');
  }

  @Post('gateway-timeout')
  @Once()
  async gatewayTimeout() {
    await Promise.reject(new GatewayTimeoutException());
  }

  @Post('error')
  @Once()
  error() {
    throw new Error('a bug');
  }

  @Post('with-status')
  @Once()
  withStatus() {
    throw Object.assign(new Error('downstream said slow down'), { status: 429 });
  }

  @Post('http-error')
  @Once()
  httpError() {
    throw Object.assign(new Error('not there'), { status: 404, statusCode: 404, expose: true });
  }

  @Post('thrown-object')
  @Once()
  thrownObject() {
    // eslint-disable-next-line @typescript-eslint/only-throw-error
    throw { statusCode: 402, message: 'pay first' };
  }

  @Post('thrown-string')
  @Once()
  thrownString() {
    // eslint-disable-next-line @typescript-eslint/only-throw-error
    throw 'a string';
  }

  @Post('kept')
  @Once({ record: ({ status }) => (status === 503 ? 'keep' : 'release') })
  kept() {
    throw new HttpException('kept by `record`', 503);
  }

  @Post('released')
  @Once({ record: ({ status, phase }) => (status === 201 && phase === 'returned' ? 'release' : 'keep') })
  released() {
    return { released: 'by `record`' };
  }
}

export const errors: Group = {
  title: 'Errors',
  controllers: [ErrorsController],
  kinds: [
    {
      name: 'a thrown 404',
      path: '/errors/not-found',
      status: 404,
      answers: '{"message":"order 1","error":"Not Found","statusCode":404}',
    },
    {
      name: 'a thrown 422 with a body and headers of its own',
      path: '/errors/own-body',
      status: 422,
      answers: '{"code":"OUT_OF_STOCK","sku":"Ä-1"}',
      has: { 'x-reason': 'stock', 'retry-after': '3600' },
    },
    { name: 'a thrown 418', path: '/errors/text', status: 418 },
    { name: 'a thrown 302', path: '/errors/redirecting', status: 302, has: { location: '/elsewhere' } },
    { name: 'a 402 from an Observable', path: '/errors/declined', status: 402 },
    { name: 'a thrown 408', path: '/errors/timeout', status: 408, retry: runsAgain },
    { name: 'a thrown 425', path: '/errors/too-early', status: 425, retry: runsAgain },
    {
      name: 'a thrown 429 with Retry-After',
      path: '/errors/too-many',
      status: 429,
      has: { 'retry-after': '1' },
      retry: runsAgain,
    },
    { name: 'a thrown 502', path: '/errors/bad-gateway', status: 502, retry: runsAgain },
    { name: 'a rejected 504', path: '/errors/gateway-timeout', status: 504, retry: runsAgain },
    { name: 'a thrown Error', path: '/errors/error', status: 500, retry: runsAgain },
    {
      name: "an Error with a downstream's status 429",
      path: '/errors/with-status',
      status: 500,
      retry: runsAgain,
    },
    { name: 'an error of the http-errors package', path: '/errors/http-error', status: 404 },
    { name: 'a thrown object with a statusCode', path: '/errors/thrown-object', status: 402 },
    { name: 'a thrown string', path: '/errors/thrown-string', status: 500, retry: runsAgain },
    { name: 'a 503 that `record` keeps', path: '/errors/kept', status: 503 },
    { name: 'a 201 that `record` releases', path: '/errors/released', status: 201, retry: runsAgain },
  ],
};
