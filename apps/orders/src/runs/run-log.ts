import { Injectable } from '@nestjs/common';
import type { OnModuleInit, OnApplicationShutdown } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { CrashPoints } from '../crash/crash-points.js';
import type { Order } from '../orders/order.entity.js';
import { HandlerRun } from './handler-run.entity.js';

export type NewRun = Pick<HandlerRun, 'operation' | 'userId'> &
  Partial<Pick<HandlerRun, 'idempotencyKey' | 'orderId'>>;

/**
 * Counts how often handlers ran, to show what retries and crashes have come to. A run that is rolled back has to be
 * counted too, so this has a connection of its own, outside of every transaction. One of the common pool would not do:
 * ten handlers that each hold one of its ten connections and wait for an eleventh wait for ever.
 */
@Injectable()
@CrashPoints()
export class RunLog implements OnModuleInit, OnApplicationShutdown {
  private readonly own: DataSource;

  constructor({ options }: DataSource) {
    this.own = new DataSource({
      ...options,
      entities: [HandlerRun],
      migrations: [],
      poolSize: 1,
    } as typeof options);
  }

  async onModuleInit(): Promise<void> {
    await this.own.initialize();
  }

  async onApplicationShutdown(): Promise<void> {
    if (this.own.isInitialized) await this.own.destroy();
  }

  async add(run: NewRun): Promise<void> {
    await this.own.manager.insert(HandlerRun, { id: randomUUID(), ...run });
  }

  /** Runs that placed the order, under its key, and runs on it. */
  async countFor({ id, userId, idempotencyKey }: Order): Promise<number> {
    const runs = this.own.manager.createQueryBuilder(HandlerRun, 'run').where('run.orderId = :id', { id });
    if (idempotencyKey !== null) {
      runs.orWhere('run.userId = :userId and run.idempotencyKey = :idempotencyKey', {
        userId,
        idempotencyKey,
      });
    }
    return runs.getCount();
  }
}
