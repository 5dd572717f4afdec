import { Controller, Header, HttpCode, Post, Res } from '@nestjs/common';
import type { AnyResponse } from '../any-response.js';
import { Once } from '../handler-runs.js';
import type { Group } from '../kind.js';
import { runsAgain } from '../retries.js';

@Controller('heads')
class HeadsController {
  @Post('code')
  @HttpCode(202)
  @Once()
  code() {
    return { accepted: true };
  }

  @Post('code-below')
  @Once()
  @HttpCode(203)
  codeBelow() {
    return { above: 'or below' };
  }

  @Post('status')
  @Once()
  status(@Res({ passthrough: true }) response: AnyResponse) {
    response.status(206);
    return { set: 'by the handler' };
  }

  @Post('no-content')
  @HttpCode(204)
  @Once()
  noContent(): void {}

  @Post('no-content-with-value')
  @HttpCode(204)
  @Once()
  noContentWithValue() {
    return { dropped: true };
  }

  @Post('empty')
  @HttpCode(200)
  @Once()
  empty(): void {}

  @Post('static')
  @Header('Cache-Control', 'no-store')
  @Header('X-Mixed-CASE', 'Kept')
  @Once()
  static() {
    return { headers: 'by decorator' };
  }

  @Post('dynamic')
  @Once()
  dynamic(@Res({ passthrough: true }) response: AnyResponse) {
    response.header('Location', '/orders/1');
    response.header('ETag', '"v1"');
    response.header('X-Empty', '');
    return { id: 1 };
  }

  @Post('several')
  @Once()
  several(@Res({ passthrough: true }) response: AnyResponse) {
    response.header('Link', ['</a>; rel="next"', '</b>; rel="prev"']);
    return {};
  }

  @Post('cookies')
  @Once()
  cookies(@Res({ passthrough: true }) response: AnyResponse) {
    response.header('Set-Cookie', ['session=1; HttpOnly', 'theme=dark']);
    return { signedIn: true };
  }

  @Post('cors')
  @Once()
  cors(@Res({ passthrough: true }) response: AnyResponse) {
    response.header('Access-Control-Allow-Origin', 'https://first.example');
    response.header('X-RateLimit-Remaining', '9');
    return {};
  }

  @Post('type')
  @Header('Content-Type', 'text/csv')
  @Once()
  type() {
    return 'a;b\n1;2\n';
  }

  @Post('vendor-json')
  @Header('Content-Type', 'application/vnd.orders+json')
  @Once()
  vendorJson() {
    return { vendor: true };
  }

  @Post('type-alone')
  @Header('Content-Type', 'text/csv')
  @HttpCode(200)
  @Once()
  typeAlone(): void {}

  @Post('removed')
  @Header('X-Stage', 'draft')
  @Once()
  removed(@Res({ passthrough: true }) response: AnyResponse) {
    response.removeHeader('X-Stage');
    response.removeHeader('X-Powered-By');
    return {};
  }

  @Post('invalid')
  @Once()
  invalid(@Res({ passthrough: true }) response: AnyResponse) {
    response.header('X-Name', 'snow ☃');
    return { created: true };
  }
}

export const heads: Group = {
  title: 'Status and headers',
  controllers: [HeadsController],
  kinds: [
    { name: 'a status of @HttpCode()', path: '/heads/code', status: 202, answers: '{"accepted":true}' },
    { name: 'a status of @HttpCode() below @Idempotent()', path: '/heads/code-below', status: 203 },
    { name: 'a status that the handler sets', path: '/heads/status', status: 206 },
    {
      name: '204',
      path: '/heads/no-content',
      status: 204,
      answers: '',
      has: { 'content-length': undefined, 'content-type': undefined },
    },
    {
      name: '204 of a handler that returns a value',
      path: '/heads/no-content-with-value',
      status: 204,
      answers: '',
    },
    { name: '200 with an empty body', path: '/heads/empty', status: 200, answers: '' },
    {
      name: 'an answer with headers of @Header()',
      path: '/heads/static',
      status: 201,
      has: { 'cache-control': 'no-store', 'x-mixed-case': 'Kept' },
    },
    {
      name: 'an answer with headers that the handler sets (Location, ETag, an empty one)',
      path: '/heads/dynamic',
      status: 201,
      has: { location: '/orders/1', etag: '"v1"', 'x-empty': '' },
    },
    {
      name: 'an answer with several values of one header',
      path: '/heads/several',
      status: 201,
      has: { link: '</a>; rel="next", </b>; rel="prev"' },
    },
    {
      name: 'an answer with Set-Cookie, which goes out once,',
      path: '/heads/cookies',
      status: 201,
      has: { 'set-cookie': 'session=1; HttpOnly, theme=dark' },
    },
    {
      name: 'an answer with headers of CORS and rate limits, which go out once,',
      path: '/heads/cors',
      status: 201,
      has: { 'access-control-allow-origin': 'https://first.example', 'x-ratelimit-remaining': '9' },
      leftOut: ['x-ratelimit-remaining'],
    },
    {
      name: 'a Content-Type of its own',
      path: '/heads/type',
      status: 201,
      has: { 'content-type': /^text\/csv/ },
    },
    {
      name: "a vendor's JSON type",
      path: '/heads/vendor-json',
      status: 201,
      answers: '{"vendor":true}',
      has: { 'content-type': /^application\/vnd\.orders\+json/ },
    },
    { name: 'a Content-Type without a body', path: '/heads/type-alone', status: 200, answers: '' },
    {
      name: 'an answer whose headers the handler has taken away',
      path: '/heads/removed',
      status: 201,
      has: { 'x-stage': undefined, 'x-powered-by': undefined },
    },
    {
      name: 'an answer with a header that Express refuses to set',
      path: '/heads/invalid',
      status: 500,
      on: 'express',
      retry: runsAgain,
    },
  ],
};
