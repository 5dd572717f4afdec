import {
  Global,
  Inject,
  Module,
  type BeforeApplicationShutdown,
  type DynamicModule,
  type OnApplicationBootstrap,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';
import { DataSource } from 'typeorm';
import { InvalidOptionsError } from '../core/errors.js';
import { openOutboxTable } from '../typeorm/outbox/open-outbox-table.js';
import { PurgeTimer } from '../typeorm/purge-timer.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './module-definition.js';
import type { OutboxOptions } from './options.js';
import { OutboxRelay } from './outbox-relay.js';
import { OutboxRuntime } from './outbox-runtime.js';
import { Outbox } from './outbox.js';
import { OUTBOX_RUNTIME } from './tokens.js';

const runtimeProvider: Provider = {
  provide: OUTBOX_RUNTIME,
  // Optional, so that the bare class in `imports` is told apart with a sentence of our own.
  inject: [{ token: MODULE_OPTIONS_TOKEN, optional: true }, ModulesContainer],
  useFactory: createRuntime,
};

/** Import it once, in the root module: `OutboxModule.forRoot({ client })` or `forRootAsync`. */
@Global()
@Module({ providers: [runtimeProvider, Outbox, OutboxRelay], exports: [Outbox, OutboxRelay] })
export class OutboxModule
  extends ConfigurableModuleClass
  implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown
{
  private purgeTimer: PurgeTimer | undefined;

  constructor(
    @Inject(OUTBOX_RUNTIME) private readonly runtime: OutboxRuntime,
    private readonly relay: OutboxRelay,
    private readonly outbox: Outbox,
    private readonly moduleRef: ModuleRef,
  ) {
    super();
  }

  static override forRoot(options: OutboxOptions): DynamicModule {
    return super.forRoot(options);
  }

  async onModuleInit(): Promise<void> {
    const { options } = this.runtime;
    const dataSource = given(options.dataSource ?? this.found());
    this.runtime.opens({ dataSource, table: await openOutboxTable(dataSource, options.table) });
  }

  /** When every module is ready for what its consumers get. */
  async onApplicationBootstrap(): Promise<void> {
    const { options, logger } = this.runtime;
    if (!options.relays) return;
    const { dead, heldBack } = await this.outbox.counts();
    if (dead > 0) {
      logger.error(
        `${dead} message(s) were given up and wait for a decision, and ${heldBack} more wait behind them. See outbox.deadLetters(), and decide with outbox.redeliver(id) or outbox.discard(id).`,
      );
    }
    this.relay.start();
    this.startPurge();
  }

  /** While the clients of brokers and the DataSource are still there. */
  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all([this.relay.stop(), this.purgeTimer?.stop()]);
  }

  private startPurge(): void {
    const { options, open, logger } = this.runtime;
    const { purgeEveryMs: everyMs, keepDeliveredMs } = options;
    if (everyMs === undefined) return;
    this.purgeTimer = new PurgeTimer({
      everyMs,
      what: 'OutboxModule: delivered messages',
      purge: (limit) => open.table.purge(keepDeliveredMs, limit),
      warn: (message) => logger.warn(message),
    });
    this.purgeTimer.start();
  }

  private found(): DataSource | undefined {
    try {
      return this.moduleRef.get(DataSource, { strict: false });
    } catch {
      return undefined; // not provided: who asks says what it needs
    }
  }
}

function createRuntime(options: OutboxOptions | undefined, modules: ModulesContainer): OutboxRuntime {
  const copies = [...modules.values()].filter(({ metatype }) => metatype === OutboxModule);
  if (copies.length > 1) {
    throw new InvalidOptionsError(
      'OutboxModule.forRoot() is imported more than once, and `Outbox` could mean either. Import it in the root module alone; it is global. A second DataSource or table needs a process of its own.',
    );
  }
  if (typeof options !== 'object' || options === null) {
    throw new InvalidOptionsError(
      'OutboxModule has no options. Import `OutboxModule.forRoot({ client })` in the root module alone, and never the bare class: it is global. A `useFactory` must return the options.',
    );
  }
  return new OutboxRuntime(options);
}

function given(dataSource: DataSource | undefined): DataSource {
  if (dataSource !== undefined) return dataSource;
  throw new InvalidOptionsError(
    'OutboxModule: there is no DataSource. Give it one as `dataSource`, or import TypeOrmModule.forRoot() in the application.',
  );
}
