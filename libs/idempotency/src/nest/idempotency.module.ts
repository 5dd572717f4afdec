import {
  Global,
  Inject,
  Logger,
  Module,
  type OnApplicationShutdown,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import {
  APP_INTERCEPTOR,
  ApplicationConfig,
  HttpAdapterHost,
  ModuleRef,
  ModulesContainer,
} from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import { checkMethod, checkOperationNames, checkStorage, decoratedMethods, nameOf } from './boot-checks.js';
import { installFastifyHook, refuseHttp2 } from './fastify-hook.js';
import { planFor } from './handler-plan.js';
import { GlobalIdempotencyInterceptor } from './idempotency.interceptor.js';
import { IdempotencyRuntime } from './idempotency-runtime.js';
import { IdempotencyService } from './idempotency.service.js';
import { memoryStorage } from './memory-storage.factory.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './module-definition.js';
import type { IdempotencyModuleOptions } from './options.js';
import { checkDecoratorOptionNames, checkModuleOptionNames } from './resolve-options.js';
import { IDEMPOTENCY_RUNTIME } from './tokens.js';

const runtimeProvider: Provider = {
  provide: IDEMPOTENCY_RUNTIME,
  inject: [MODULE_OPTIONS_TOKEN],
  useFactory: createRuntime,
};

/** Import it once, in the root module: `IdempotencyModule.forRoot({ namespace, storage })`. */
@Global()
@Module({
  providers: [
    runtimeProvider,
    IdempotencyService,
    { provide: APP_INTERCEPTOR, useClass: GlobalIdempotencyInterceptor },
  ],
  exports: [IDEMPOTENCY_RUNTIME, IdempotencyService],
})
export class IdempotencyModule
  extends ConfigurableModuleClass
  implements OnModuleInit, OnApplicationShutdown
{
  constructor(
    @Inject(IDEMPOTENCY_RUNTIME) private readonly runtime: IdempotencyRuntime,
    private readonly modules: ModulesContainer,
    private readonly moduleRef: ModuleRef,
    private readonly config: ApplicationConfig,
    private readonly adapterHost: HttpAdapterHost,
  ) {
    super();
  }

  async onModuleInit(): Promise<void> {
    const { runtime } = this;
    this.checkImportedOnce();
    this.makePlans();
    const adapter = this.adapterHost.httpAdapter as HttpAdapterHost['httpAdapter'] | undefined;
    if (adapter?.getType() === 'fastify') installFastifyHook(adapter.getInstance(), runtime);
    if (adapter !== undefined) refuseHttp2(adapter);
    await runtime.storage.start?.({
      find: (type) => {
        try {
          return this.moduleRef.get(type, { strict: false });
        } catch {
          return undefined; // not provided: the storage says what it needs
        }
      },
      warn: (message) => runtime.logger.warn(message),
    });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.runtime.engine.stop();
    await this.runtime.storage.stop?.();
    this.runtime.events.complete();
  }

  private checkImportedOnce(): void {
    const copies = [...this.modules.values()].filter(({ metatype }) => metatype === IdempotencyModule);
    if (copies.length > 1) {
      throw new InvalidOptionsError(
        'IdempotencyModule.forRoot() is imported more than once with different options, so requests would be claimed twice. Import it in the root module alone; it is global.',
      );
    }
  }

  private makePlans(): void {
    const methods = decoratedMethods(this.modules);
    checkOperationNames(methods);
    for (const decorated of methods) {
      const { metatype, name, entry, method } = decorated;
      for (const options of entry.options) {
        checkDecoratorOptionNames(`@Idempotent() on ${nameOf(decorated)}`, options);
      }
      checkMethod(decorated, this.runtime.storage);
      this.runtime.plans.set(
        method,
        planFor(metatype, name, entry, method, this.runtime.options, this.config),
      );
    }
  }
}

function createRuntime(options: IdempotencyModuleOptions): IdempotencyRuntime {
  const environment = process.env['NODE_ENV'];
  checkModuleOptionNames(options);
  checkStorage(options, environment);
  if (options.storage === undefined) {
    new Logger('IdempotencyModule').warn(
      'No `storage`: records live in the memory of this process. Another process, or this one after a restart, knows nothing of them.',
    );
  }
  return new IdempotencyRuntime(options, options.storage ?? memoryStorage(), options.namespace ?? 'default');
}
