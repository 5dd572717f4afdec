import type { DynamicModule } from '@nestjs/common';
import { OutboxModule } from 'nestjs-idempotent/typeorm';
import type { OutboxOptions } from 'nestjs-idempotent/typeorm';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/app-config.js';
import { MessagePublisher } from './message-publisher.js';

/** About a day of a broker that is away, and ten seconds at most until its return is noticed. */
const RETRY = { attempts: 10_000, maxDelay: '10s' } as const;

/** What is added in the transaction of an order leaves from here when that is committed, to whatever carries messages. */
export function outboxModule(): DynamicModule {
  return OutboxModule.forRootAsync({
    inject: [APP_CONFIG, MessagePublisher],
    useFactory: ({ lease }: AppConfig, publisher: MessagePublisher): OutboxOptions => ({
      publish: (message) => publisher.publish(message),
      relay: lease === undefined ? {} : { lease, publishTimeout: halfOf(lease) },
      retry: RETRY,
    }),
  });
}

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** One try to publish has to fit into the lease. What is no duration stays as it is: the library says what is wrong with it. */
function halfOf(lease: string): string {
  const [, count = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(lease) ?? [];
  const unitMs = UNITS_MS[unit];
  return unitMs === undefined ? lease : `${Math.floor((Number(count) * unitMs) / 2)}ms`;
}
