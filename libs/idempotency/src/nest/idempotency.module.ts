import {
  Global,
  Inject,
  Logger,
  Module,
  type DynamicModule,
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
import type { Codec } from '../core/codec.js';
import type { StorageHost } from '../core/idempotency-storage.js';
import { checkMethod, checkParameters } from './boot-checks.js';
import { checkSharedCodec } from './codec-option.js';
import { decoratedMethods, nameOf } from './decorated-methods.js';
import { prepareServers } from './deliveries/nest-servers.js';
import { ownHandler } from './deliveries/own-handler.js';
import { installFastifyHook, refuseHttp2OnExpress } from './fastify-hook.js';
import { planFor } from './handler-plan.js';
import { GlobalIdempotencyInterceptor } from './idempotency.interceptor.js';
import { IdempotencyRuntime } from './idempotency-runtime.js';
import { IdempotencyService } from './idempotency.service.js';
import { memoryStorage } from './memory-storage.factory.js';
import { checkImportedOnce, checkModuleOptions } from './module-checks.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './module-definition.js';
import { checkOperationNames } from './operation-names.js';
import type { IdempotencyModuleOptions } from './options.js';
import { IDEMPOTENCY_RUNTIME } from './tokens.js';
import { transactionsOf, type TransactionalPlace } from './transactional-option.js';
import type { Transport } from './transports.js';
import { warnOfStreamedUploads } from './upload-checks.js';

const runtimeProvider: Provider = {
  provide: IDEMPOTENCY_RUNTIME,
  // Optional, so that the bare class in `imports` is told apart with a sentence of our own.
  inject: [{ token: MODULE_OPTIONS_TOKEN, optional: true }, ModulesContainer],
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

  static override forRoot(options: IdempotencyModuleOptions = {}): DynamicModule {
    return super.forRoot(options);
  }

  async onModuleInit(): Promise<void> {
    const { runtime } = this;
    // Applications without a server, and those of messages alone, have none.
    const adapter = this.adapterHost.httpAdapter as HttpAdapterHost['httpAdapter'] | null | undefined;
    if (adapter) {
      refuseHttp2OnExpress(adapter);
      runtime.reply = (response, value) => void adapter.reply(response, value);
    }
    const transactional = await this.makePlans();
    if (adapter && adapter.getType() === 'fastify') installFastifyHook(adapter.getInstance(), runtime);
    await runtime.storage.start?.(this.host());
    try {
      runtime.transactions = transactionsOf(runtime.storage, transactional);
      if (transactional.length > 0)
        for (const caution of runtime.transactions?.cautions ?? []) runtime.logger.warn(caution);
    } catch (error) {
      await runtime.storage.stop?.();
      throw error;
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.runtime.stop();
  }

  /** @returns where `transactional` is asked for */
  private async makePlans(): Promise<TransactionalPlace[]> {
    const { options, storage, plans, engine, classes, transportErrors, serializers, defaults } = this.runtime;
    const transactional: TransactionalPlace[] = [];
    if (defaults.transactional) transactional.push({ where: 'IdempotencyModule', ...defaults.transactional });
    const find = (token: string) => this.found(token);
    const reached = new Set<Transport>();
    const codecs = new Map<string, Codec | undefined>();
    const methods = decoratedMethods(this.modules);
    for (const decorated of methods) {
      for (const transport of checkMethod(decorated, { options, storage, find })) {
        reached.add(transport);
        const where = `@Idempotent() on ${nameOf(decorated)}`;
        const plan = planFor(where, decorated, transport, options, this.config);
        plans.set(decorated.metatype, decorated.method, plan);
        if (decorated.replacement) plans.set(decorated.metatype, decorated.replacement, plan);
        if (transport === 'rpc') ownHandler(decorated);
        checkSharedCodec(codecs, where, plan.options);
        engine.codecs.learn(plan.options.operation, plan.options.codec);
        if (plan.options.operation !== undefined)
          this.runtime.learnTtl(plan.options.operation, plan.options.ttlMs);
        if (plan.options.transactional) transactional.push({ where, ...plan.options.transactional });
      }
    }
    checkOperationNames(methods, this.config);
    checkParameters(this.modules);
    warnOfStreamedUploads(this.runtime, this.modules, methods);
    await transportErrors.load(reached);
    await classes.learn(methods, reached);
    if ([...reached].some((transport) => transport !== 'http')) await serializers.load();
    return transactional;
  }

  private found<T>(token: (abstract new (...args: never[]) => T) | string): T | undefined {
    try {
      return this.moduleRef.get<T>(token, { strict: false });
    } catch {
      return undefined; // not provided: who asks says what it needs
    }
  }

  private allFound<T>(type: abstract new (...args: never[]) => T): readonly T[] {
    const instances = [...this.modules.values()].flatMap(({ providers }) =>
      [...providers.values()].map((provider) => provider.instance),
    );
    return [...new Set(instances)].filter((instance): instance is T => instance instanceof type);
  }

  /** What a storage may ask of the application. */
  private host(): StorageHost {
    return {
      find: (type) => this.found(type),
      findAll: (type) => this.allFound(type),
      warn: (message) => this.runtime.logger.warn(message),
    };
  }
}

async function createRuntime(
  options: IdempotencyModuleOptions | undefined,
  modules: ModulesContainer,
): Promise<IdempotencyRuntime> {
  checkImportedOnce(modules, IdempotencyModule);
  checkModuleOptions(options, process.env['NODE_ENV']);
  const { storage, namespace } = options;
  if (storage === undefined) {
    new Logger('IdempotencyModule').warn(
      'No `storage`: records live in the memory of this process. Another process, or this one after a restart, knows nothing of them.',
    );
  }
  // Handlers are added to servers before `onModuleInit` of a microservice.
  await prepareServers(modules);
  return new IdempotencyRuntime(options, storage ?? memoryStorage(), namespace ?? 'default');
}
