import {
  ConflictException,
  Controller,
  HttpException,
  Post,
  RequestTimeoutException,
  Res,
  StreamableFile,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { IdempotentOp, IdempotentOperation } from 'nestjs-idempotent';
import { Readable } from 'node:stream';
import { concat, defer, from, map, of, throwError, timeout, toArray, type Observable } from 'rxjs';
import { Outside } from '../around.js';
import {
  answeredEarly,
  answeredTooEarly,
  leftByItsClient,
  leftByItsClientUnsent,
  lostItsAnswer,
} from '../early-retries.js';
import { gate, Once } from '../handler-runs.js';
import type { Group } from '../kind.js';

interface AnyResponse {
  header(name: string, value: string): unknown;
  status(code: number): AnyResponse;
  send(body: unknown): unknown;
}

/** A request says by `x-timeout` how many milliseconds it may take; without it there is no limit. */
function limiting(otherwise: () => Observable<unknown>): NestInterceptor {
  return {
    intercept(context: ExecutionContext, next: CallHandler) {
      const { headers } = context
        .switchToHttp()
        .getRequest<{ headers: Record<string, string | undefined> }>();
      const limit = headers['x-timeout'];
      return limit === undefined
        ? next.handle()
        : next.handle().pipe(timeout({ first: Number(limit), with: otherwise }));
    },
  };
}

const limited = limiting(() => throwError(() => new RequestTimeoutException()));
const limitedKindly = limiting(() => of({ fallback: true }));

const collecting: NestInterceptor = {
  intercept: (_context, next) => next.handle().pipe(toArray()),
};

class Order {
  constructor(readonly id: number) {}
}

@Controller('early')
class EarlyAnswersController {
  @Post('inside')
  @UseInterceptors(limited)
  @Once()
  async inside() {
    await gate.pass();
    return { charged: true };
  }

  @Post('outside')
  @Outside(limited)
  @Once()
  async outside() {
    await gate.pass();
    return { charged: true };
  }

  @Post('fallback')
  @UseInterceptors(limitedKindly)
  @Once()
  async fallback() {
    await gate.pass();
    return { charged: true };
  }

  @Post('observable')
  @Outside(limited)
  @Once()
  observable() {
    return defer(() => from(gate.pass())).pipe(map(() => ({ charged: true })));
  }

  @Post('refused')
  @Outside(limited)
  @Once()
  async refused() {
    await gate.pass();
    throw new ConflictException({ code: 'PAID_ALREADY' });
  }

  @Post('touching')
  @Outside(limited)
  @Once()
  async touching(@Res({ passthrough: true }) response: AnyResponse) {
    await gate.pass();
    response.header('X-Late', 'set too late');
    return { charged: true };
  }

  @Post('answering')
  @UseInterceptors(limited)
  @Once()
  async answering(@IdempotentOp() op: IdempotentOperation, @Res() response: AnyResponse) {
    op.setResource('order', 7);
    await gate.pass();
    response.status(201).send({ charged: true });
  }

  @Post('answering-outside')
  @Outside(limited)
  @Once()
  async answeringOutside(@IdempotentOp() op: IdempotentOperation, @Res() response: AnyResponse) {
    op.setResource('order', 7);
    await gate.pass();
    response.header('X-Late', 'set too late');
    response.status(201).send({ charged: true });
  }

  @Post('entity')
  @Outside(limited)
  @Once()
  async entity(@IdempotentOp() op: IdempotentOperation) {
    await gate.pass();
    op.setResource('order', 7);
    return new Order(7);
  }

  @Post('claiming')
  @Outside(limited)
  @Once({
    scope: async () => {
      await gate.pass();
      return 'anybody';
    },
  })
  claiming() {
    return { charged: true };
  }

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

  @Post('left-bytes')
  @Once()
  async leftBytes() {
    await gate.pass();
    return new StreamableFile(Buffer.from('nobody reads it'));
  }

  @Post('left-stream')
  @Once()
  async leftStream(@IdempotentOp() op: IdempotentOperation) {
    op.setResource('order', 7);
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

export const earlyAnswers: Group = {
  title: 'Something else answers, or the client leaves, while the handler runs',
  controllers: [EarlyAnswersController],
  kinds: [
    {
      name: 'the value of a handler behind a timeout inside',
      path: '/early/inside',
      status: 201,
      answers: '{"charged":true}',
      retry: answeredEarly(408),
    },
    {
      name: 'the value of a handler behind a timeout outside',
      path: '/early/outside',
      status: 201,
      answers: '{"charged":true}',
      retry: answeredEarly(408),
    },
    {
      name: 'the value of a handler behind a timeout with a fallback answer',
      path: '/early/fallback',
      status: 201,
      answers: '{"charged":true}',
      retry: answeredEarly(201),
    },
    {
      name: 'the Observable of a handler behind a timeout',
      path: '/early/observable',
      status: 201,
      answers: '{"charged":true}',
      retry: answeredEarly(408),
    },
    {
      name: 'the refusal of a handler behind a timeout',
      path: '/early/refused',
      status: 409,
      answers: '{"code":"PAID_ALREADY"}',
      retry: answeredEarly(408),
    },
    {
      name: 'the value of a handler that touches the response after a timeout',
      path: '/early/touching',
      status: 201,
      answers: '{"charged":true}',
      leftOut: ['x-late'],
      retry: answeredEarly(408),
    },
    {
      name: 'the late answer of a handler itself, after a timeout inside,',
      path: '/early/answering',
      status: 201,
      answers: '{"charged":true}',
      retry: lostItsAnswer('order 7'),
    },
    {
      name: 'the late answer of a handler itself, after a timeout outside,',
      path: '/early/answering-outside',
      status: 201,
      answers: '{"charged":true}',
      retry: lostItsAnswer('order 7'),
    },
    {
      name: 'the late value of a handler that JSON does not bring back',
      path: '/early/entity',
      status: 201,
      answers: '{"id":7}',
      retry: lostItsAnswer('order 7'),
    },
    {
      name: 'a timeout outside before the handler could begin',
      path: '/early/claiming',
      status: 201,
      answers: '{"charged":true}',
      retry: answeredTooEarly,
    },
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
      name: 'several emissions of a handler whose client is gone',
      path: '/early/left-emissions',
      status: 201,
      answers: '{"emitted":3}',
      retry: leftByItsClientUnsent,
    },
    {
      name: 'several emissions that an interceptor collects, whose client is gone,',
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
      name: 'the bytes of a handler whose client is gone',
      path: '/early/left-bytes',
      status: 201,
      answers: 'nobody reads it',
      retry: leftByItsClient,
    },
    {
      name: 'the stream of a handler whose client is gone, which Nest destroys,',
      path: '/early/left-stream',
      status: 201,
      answers: 'nobody reads it',
      retry: lostItsAnswer('order 7', { byLeaving: true }),
    },
  ],
};
