import { Billing, type Invoice } from '../support/invoices.js';
import { onceIn } from './once-in-job.js';

import { Processor, WorkerHost } from '@nestjs/bullmq';
import type { Job } from 'bullmq';
import { IdempotencyService } from 'nestjs-idempotent';

@Processor('invoices')
export class InvoiceProcessor extends WorkerHost {
  constructor(
    private readonly idempotency: IdempotencyService,
    private readonly billing: Billing,
  ) {
    super();
  }

  override process(job: Job<Invoice>, token?: string): Promise<string> {
    const invoice = job.data;
    return onceIn(job, token, () =>
      this.idempotency.run(
        { operation: 'send-invoice', key: invoice.orderId, fingerprint: invoice, ttl: '7d' },
        async (op) => {
          const number = await op.step('book', () => this.billing.book(invoice, op.deriveKey('book')));
          await op.step('send', () => this.billing.send(number, op.deriveKey('send')));
          return number;
        },
      ),
    );
  }
}
