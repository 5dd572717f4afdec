import { Injectable } from '@nestjs/common';
import { MariaDbOperationLogEntry, OperationLogEntry, appendOperation } from 'nestjs-idempotent/typeorm';
import type { EntityManager } from 'typeorm';
import { CrashPoints } from '../crash/crash-points.js';

export interface CustomerCommand {
  readonly userId: string;
  readonly command: 'place-order' | 'pay-order';
  /** Under which it was sent. */
  readonly idempotencyKey: string;
  readonly content: unknown;
}

/**
 * What customers have commanded, in a table that only grows, each under the key that it was sent with. It outlives the
 * idempotency records, whose ttl is days, and knows a key again that is used for something else.
 */
@Injectable()
@CrashPoints()
export class OperationLog {
  /**
   * In the transaction of `manager`: the entry is there if what was commanded is, and only then.
   *
   * @throws CommandReusedError (`command-reused`, 422) when the user has used the key for the same command with other content
   */
  async append(manager: EntityManager, command: CustomerCommand): Promise<void> {
    const { userId, idempotencyKey: commandId, command: name, content } = command;
    // A key may stand for one order and for one payment, as it may in the idempotency records. No user's name has a space.
    const scope = `${userId} ${name}`;
    const isPostgres = manager.dataSource.options.type === 'postgres';
    const entry = isPostgres ? OperationLogEntry : MariaDbOperationLogEntry;
    const log = manager.getRepository<OperationLogEntry | MariaDbOperationLogEntry>(entry);
    await appendOperation(log, { commandId, scope, command: name, content });
  }
}
