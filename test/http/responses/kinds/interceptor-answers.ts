import { BadRequestException, Controller, ConflictException, Post, UseInterceptors } from '@nestjs/common';
import { catchError, map, of, switchMap, throwError } from 'rxjs';
import { around, Outside } from '../around.js';
import { Once } from '../handler-runs.js';
import type { Group } from '../kind.js';
import { leavesTheKeyFree, runsAgain } from '../retries.js';

const refusing = around((next, context) => {
  const { body } = context.switchToHttp().getRequest<{ body: { token?: string } }>();
  return body.token === 'right'
    ? next.handle()
    : throwError(() => new BadRequestException('the token is wrong'));
});

@Controller('around')
class InterceptorAnswersController {
  @Post('answered-inside')
  @UseInterceptors(around(() => of({ from: 'a cache' })))
  @Once()
  answeredInside() {
    return { never: true };
  }

  @Post('refused-inside')
  @UseInterceptors(refusing)
  @Once()
  refusedInside() {
    return { token: 'right' };
  }

  @Post('failing-inside')
  @UseInterceptors(
    around((next) =>
      next.handle().pipe(
        map(() => {
          throw new Error('after the handler');
        }),
      ),
    ),
  )
  @Once()
  failingInside() {
    return {};
  }

  @Post('failing-outside')
  @Outside(around((next) => next.handle().pipe(switchMap(() => throwError(() => new Error('after us'))))))
  @Once()
  failingOutside() {
    return {};
  }

  @Post('catching-inside')
  @UseInterceptors(around((next) => next.handle().pipe(catchError(() => of({ caught: 'inside' })))))
  @Once()
  catchingInside() {
    throw new Error('nobody sees it');
  }

  @Post('catching-outside')
  @Outside(
    around((next) =>
      next.handle().pipe(
        catchError((error: unknown) => {
          if (error instanceof ConflictException) return of({ caught: 'outside' });
          throw error;
        }),
      ),
    ),
  )
  @Once()
  catchingOutside() {
    throw new ConflictException('nobody sees it');
  }

  @Post('demanding-outside')
  @Outside(around((next) => next.handle().pipe(map((value) => ({ upper: (value as string).toUpperCase() })))))
  @Once()
  demandingOutside() {
    return 'text';
  }
}

export const interceptorAnswers: Group = {
  title: 'Interceptors that answer or fail',
  controllers: [InterceptorAnswersController],
  kinds: [
    {
      name: 'the answer of an interceptor in the place of the handler',
      path: '/around/answered-inside',
      status: 201,
      answers: '{"from":"a cache"}',
      runs: 0,
    },
    {
      name: 'the refusal of an interceptor before the handler',
      path: '/around/refused-inside',
      status: 400,
      runs: 0,
      retry: leavesTheKeyFree({ body: { token: 'right' } }),
    },
    { name: 'the failure of an interceptor after the handler', path: '/around/failing-inside', status: 500 },
    { name: 'the failure of an outer interceptor', path: '/around/failing-outside', status: 500 },
    {
      name: 'an error that an inner interceptor turns into an answer',
      path: '/around/catching-inside',
      status: 201,
      answers: '{"caught":"inside"}',
      retry: runsAgain,
    },
    {
      name: 'an error that an outer interceptor turns into an answer',
      path: '/around/catching-outside',
      status: 201,
      answers: '{"caught":"outside"}',
      retry: runsAgain,
    },
    {
      name: 'an answer that an outer interceptor makes of the value, and cannot make of nothing on a replay,',
      path: '/around/demanding-outside',
      status: 201,
      answers: '{"upper":"TEXT"}',
    },
  ],
};
