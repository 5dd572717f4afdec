import type { Billing, Invoice } from '../support/invoices.js';
import { onceIn } from './once-in-job.js';

import { Worker, type ConnectionOptions, type WorkerOptions } from 'bullmq';
import type { IdempotencyService } from 'nestjs-idempotent';

export function invoiceWorker(
  idempotency: IdempotencyService,
  billing: Billing,
  options: WorkerOptions & { connection: ConnectionOptions },
): Worker<Invoice, string> {
  return new Worker<Invoice, string>(
    'invoices',
    (job, token) =>
      onceIn(job, token, () =>
        idempotency.run(
          { operation: 'send-invoice', key: job.data.orderId, fingerprint: job.data, ttl: '7d' },
          async (op) => {
            const number = await op.step('book', () => billing.book(job.data, op.deriveKey('book')));
            await op.step('send', () => billing.send(number, op.deriveKey('send')));
            return number;
          },
        ),
      ),
    options,
  );
}
