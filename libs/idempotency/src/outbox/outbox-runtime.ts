import { Logger } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import { InvalidOptionsError } from '../core/errors.js';
import type { OutboxTable } from '../typeorm/outbox/outbox-table.js';
import type { OutboxOptions } from './options.js';
import { resolveOptions, type ResolvedOptions } from './resolve-options.js';

/** Where the messages are. */
export interface OpenOutbox {
  readonly dataSource: DataSource;
  readonly table: OutboxTable;
}

/** What the injectables of one application's outbox share. */
export class OutboxRuntime {
  readonly logger = new Logger('OutboxModule');
  readonly options: ResolvedOptions;
  private opened: OpenOutbox | undefined;

  constructor(options: OutboxOptions) {
    this.options = resolveOptions(options);
  }

  /** At boot, when the table is found to be as it should. */
  opens(outbox: OpenOutbox): void {
    this.opened = outbox;
  }

  /** @throws InvalidOptionsError before the application is initialized */
  get open(): OpenOutbox {
    if (this.opened !== undefined) return this.opened;
    throw new InvalidOptionsError(
      'OutboxModule: the outbox is asked before the application is initialized, so nobody knows yet whether its table is there. Use it from `onApplicationBootstrap` on.',
    );
  }
}
