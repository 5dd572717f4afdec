import {
  ConflictException,
  Controller,
  Post,
  RequestTimeoutException,
  Res,
  UseInterceptors,
} from '@nestjs/common';
import { IdempotentOp, IdempotentOperation } from 'nestjs-idempotent';
import { concatMap, retry, defer, from, map, of, race, throwError, type Observable } from 'rxjs';
import type { AnyResponse } from '../any-response.js';
import { around, Outside } from '../around.js';
import { answeredEarly, answeredTooEarly, askedAgain, lostItsAnswer } from '../early-retries.js';
import { gate, Once } from '../handler-runs.js';
import type { Group } from '../kind.js';

/** A request says by `x-impatient` that it waits no longer than until somebody stands at the gate. */
function limiting(otherwise: () => Observable<unknown>) {
  return around((next, context) => {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>();
    if (headers['x-impatient'] === undefined) return next.handle();
    return race(next.handle(), defer(() => gate.reached).pipe(concatMap(otherwise)));
  });
}

const limited = limiting(() => throwError(() => new RequestTimeoutException()));
const limitedKindly = limiting(() => of({ fallback: true }));

/** Asks again and again, and lets the handler go on when it has done so once. */
const limitedAndAskedAgain = around((next, context) =>
  limited.intercept(context, next).pipe(retry({ delay: () => of(gate.open()) })),
);

/** Works on after the handler. */
const slow = around((next) => next.handle().pipe(concatMap((value) => gate.pass().then(() => value))));

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

  @Post('asked-again')
  @Outside(limitedAndAskedAgain)
  @Once()
  async askedAgain() {
    await gate.pass();
    return { charged: true };
  }

  @Post('after-the-handler')
  @Outside(limited)
  @UseInterceptors(slow)
  @Once()
  afterTheHandler() {
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
      name: 'the value of a handler behind a timeout outside that asks again',
      path: '/early/asked-again',
      status: 201,
      answers: '{"charged":true}',
      retry: askedAgain,
    },
    {
      name: 'the value of a handler that has returned before a timeout outside',
      path: '/early/after-the-handler',
      status: 201,
      answers: '{"charged":true}',
      retry: answeredEarly(408, { whileItRuns: false }),
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
      name: 'an early 408 before the handler could begin',
      path: '/early/claiming',
      status: 201,
      answers: '{"charged":true}',
      retry: answeredTooEarly,
    },
  ],
};
