import {
  Inject,
  Injectable,
  Optional,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { Observable } from 'rxjs';
import { missingModule } from './boot-checks.js';
import { protect } from './http-exchange.js';
import { IdempotencyRuntime } from './idempotency-runtime.js';
import { IDEMPOTENCY_RUNTIME } from './tokens.js';

/** Glue between Nest and the exchange. Bound by every `@Idempotent()`; acts once per execution. */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(
    @Optional() @Inject(IDEMPOTENCY_RUNTIME) private readonly runtime: IdempotencyRuntime | undefined,
    @Optional() modules: ModulesContainer | undefined,
  ) {
    if (runtime === undefined) throw missingModule(modules);
  }

  intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    const { runtime } = this;
    const plan = runtime?.plans.get(context.getHandler());
    if (runtime === undefined || plan === undefined || context.getType() !== 'http') return next.handle();
    return runtime.firstSight(context) ? protect(runtime, plan, context, next) : next.handle();
  }
}

/** The one that `forRoot` registers for the whole application. */
@Injectable()
export class GlobalIdempotencyInterceptor extends IdempotencyInterceptor {
  constructor(@Inject(IDEMPOTENCY_RUNTIME) private readonly shared: IdempotencyRuntime) {
    super(shared, undefined);
  }

  override intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    return this.shared.options.interceptor === 'decorated' ? next.handle() : super.intercept(context, next);
  }
}
