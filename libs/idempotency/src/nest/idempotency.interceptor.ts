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
import { missingModule } from './missing-module.js';
import { protectByValue } from './by-value/value-exchange.js';
import { protect } from './http-exchange.js';
import { IdempotencyRuntime } from './idempotency-runtime.js';
import { problemHeaders } from './problem-headers.js';
import { runningExecution } from './running-execution.js';
import { IDEMPOTENCY_RUNTIME } from './tokens.js';

/** Glue between Nest and the exchange. Bound by every `@Idempotent()`; acts once per execution. */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(
    @Optional() @Inject(IDEMPOTENCY_RUNTIME) private readonly runtime: IdempotencyRuntime | undefined,
    @Optional() @Inject(ModulesContainer) modules: ModulesContainer | undefined,
  ) {
    if (runtime === undefined) throw missingModule(modules);
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { runtime } = this;
    const plan = runtime?.plans.get(context.getClass(), context.getHandler(), context.getType());
    if (runtime === undefined || plan === undefined) return next.handle();
    // The global one and that of the decorator see the same execution: the outer has it in hand.
    const inHand = runningExecution.getStore()?.context === context;
    if (inHand) return next.handle();
    return plan.transport === 'http'
      ? protect(runtime, plan, context, next).pipe(problemHeaders(context, runtime.problems))
      : protectByValue(runtime, plan, context, next);
  }
}

/** The one that `forRoot` registers for the whole application. */
@Injectable()
export class GlobalIdempotencyInterceptor extends IdempotencyInterceptor {
  constructor(@Inject(IDEMPOTENCY_RUNTIME) private readonly shared: IdempotencyRuntime) {
    super(shared, undefined);
  }

  override intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { options, plans, problems } = this.shared;
    if (options.interceptor === 'decorated') return next.handle();
    const type = context.getType();
    if (plans.get(context.getClass(), context.getHandler(), type)) return super.intercept(context, next);
    return type === 'http' ? next.handle().pipe(problemHeaders(context, problems)) : next.handle();
  }
}
