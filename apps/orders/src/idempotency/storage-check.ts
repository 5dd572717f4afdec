import { Injectable } from '@nestjs/common';
import { IdempotencyService } from 'nestjs-idempotent';

@Injectable()
export class StorageCheck {
  constructor(private readonly idempotency: IdempotencyService) {}

  /** Asks for a record that nobody makes; rejects when the storage does not answer. */
  async check(): Promise<void> {
    await this.idempotency.inspect(this.idempotency.recordId({ operation: 'GET /health', key: 'probe' }));
  }
}
