import type { INestApplication } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { MESSAGE_TRANSPORT } from './transport.js';
import type { MessageTransport } from './transport.js';

/** A broker that is there answers in a few milliseconds. */
const PATIENCE_MS = 2_000;

/**
 * Lets the consumers take messages, once the app has been initialized, and says over what.
 *
 * A broker that is away holds up nothing: orders are taken, their messages wait in the outbox, and the connection is tried
 * until it is there.
 *
 * @throws StartError when the broker is there and refuses us its queues
 */
export async function startMessages(app: INestApplication): Promise<string> {
  const transport = app.get<MessageTransport>(MESSAGE_TRANSPORT);
  const timer = new AbortController();
  const late = sleep(PATIENCE_MS, 'late', { signal: timer.signal }).catch(() => 'late');
  const began = await Promise.race([app.startAllMicroservices(), late]);
  timer.abort();
  if (began !== 'late') return transport.describe();
  return `${transport.describe()}, to which there is no connection yet. Orders are taken, their messages wait in the outbox, and it is tried again every second`;
}
