import 'reflect-metadata';
import {
  Injectable,
  SetMetadata,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import type { Observable } from 'rxjs';

const OUTSIDE = 'test:outside';
const GLOBAL = 'test:global';

/** An interceptor in one line. */
export function around(intercept: (next: CallHandler, context: ExecutionContext) => Observable<unknown>) {
  return {
    intercept: (context: ExecutionContext, next: CallHandler) => intercept(next, context),
  } satisfies NestInterceptor;
}

/** An interceptor that is registered as an APP_INTERCEPTOR before ours: it sees what ours lets out. */
export const Outside = (interceptor: NestInterceptor) => SetMetadata(OUTSIDE, interceptor);

/** An interceptor of `app.useGlobalInterceptors()`. */
export const Global = (interceptor: NestInterceptor) => SetMetadata(GLOBAL, interceptor);

/** One for all routes would act on all kinds: this one is the interceptor that the route asks for, or none. */
class Chosen implements NestInterceptor {
  constructor(private readonly place: string) {}

  intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    const chosen = Reflect.getMetadata(this.place, context.getHandler()) as NestInterceptor | undefined;
    return chosen === undefined ? next.handle() : chosen.intercept(context, next);
  }
}

@Injectable()
export class ChosenOutside extends Chosen {
  constructor() {
    super(OUTSIDE);
  }
}

export class ChosenGlobal extends Chosen {
  constructor() {
    super(GLOBAL);
  }
}
