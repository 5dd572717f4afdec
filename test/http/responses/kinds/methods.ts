import { Controller, Delete, Get, Head, Header, HttpCode, Patch, Post, Put, Redirect } from '@nestjs/common';
import { Once } from '../handler-runs.js';
import type { Group } from '../kind.js';

@Controller('methods')
class MethodsController {
  @Post('moved')
  @Redirect('/elsewhere', 303)
  @Once()
  moved(): void {}

  @Post('moved-dynamically')
  @Redirect('/elsewhere')
  @Once()
  movedDynamically() {
    return { url: '/orders/1?a=%20b', statusCode: 307 };
  }

  @Put('any/:id')
  @Once()
  put() {
    return { put: true };
  }

  @Patch('any/:id')
  @Once()
  patch() {
    return { patched: true };
  }

  @Delete('any/:id')
  @HttpCode(204)
  @Once()
  delete(): void {}

  @Delete('told/:id')
  @Once()
  deleteTold() {
    return { deleted: true };
  }

  @Get('read')
  @Once()
  get() {
    return { once: true };
  }

  @Head('head')
  @Header('X-Count', '3')
  @Once()
  head(): void {}
}

export const methods: Group = {
  title: 'Methods and redirects',
  controllers: [MethodsController],
  kinds: [
    {
      name: 'a @Redirect() to a fixed place',
      path: '/methods/moved',
      status: 303,
      has: { location: '/elsewhere' },
    },
    {
      name: 'a @Redirect() to a place that the handler names',
      path: '/methods/moved-dynamically',
      status: 307,
      has: { location: '/orders/1?a=%20b' },
    },
    { name: 'PUT', method: 'PUT', path: '/methods/any/1', status: 200, answers: '{"put":true}' },
    { name: 'PATCH', method: 'PATCH', path: '/methods/any/1', status: 200, answers: '{"patched":true}' },
    { name: 'DELETE with 204', method: 'DELETE', path: '/methods/any/1', status: 204, answers: '' },
    {
      name: 'DELETE with a body',
      method: 'DELETE',
      path: '/methods/told/1',
      status: 200,
      answers: '{"deleted":true}',
    },
    { name: 'GET on a route that is decorated itself', method: 'GET', path: '/methods/read', status: 200 },
    { name: 'HEAD on a GET route', method: 'HEAD', path: '/methods/read', status: 200, answers: '' },
    {
      name: 'HEAD on a route of its own',
      method: 'HEAD',
      path: '/methods/head',
      status: 200,
      answers: '',
      has: { 'x-count': '3' },
    },
  ],
};
