import { Body, Controller, Get, Headers, Post, Query, Res } from '@nestjs/common';
import { Problem } from '../../../shared/src/problems/problem.js';
import { Books } from '../ledger/books.js';
import type { Answer } from '../ledger/entry.js';
import { OncePerKey } from '../ledger/once-per-key.js';
import { ChargesService } from './charges.service.js';
import type { ChargeView } from './charges.service.js';
import { RefundsService } from './refunds.service.js';
import { readCharge, readKey, readReference, readRefund } from './requests.js';

interface Reply {
  status(code: number): unknown;
  type(contentType: string): unknown;
}

@Controller()
export class ChargesController {
  constructor(
    private readonly charges: ChargesService,
    private readonly refunds: RefundsService,
    private readonly once: OncePerKey,
    private readonly books: Books,
  ) {}

  @Post('charges')
  async charge(
    @Headers('idempotency-key') key: string | undefined,
    @Body() body: unknown,
    @Res({ passthrough: true }) reply: Reply,
  ): Promise<object> {
    return send(reply, await this.charges.charge(readKey(key), readCharge(body)));
  }

  @Post('refunds')
  async refund(
    @Headers('idempotency-key') key: string | undefined,
    @Body() body: unknown,
    @Res({ passthrough: true }) reply: Reply,
  ): Promise<object> {
    return send(reply, await this.refunds.refund(readKey(key), readRefund(body)));
  }

  @Get('charges')
  list(@Query('reference') reference: unknown): readonly ChargeView[] {
    return this.charges.list(readReference(reference));
  }

  /** Not well is one that answers what was decided and can decide nothing more: whoever watches it has to restart it. */
  @Get('health')
  health(): { status: 'ok'; running: number } {
    if (this.books.failure) throw new Problem(503, 'ledger-unwritable', this.books.failure.message);
    return { status: 'ok', running: this.once.size };
  }
}

function send(reply: Reply, { status, body }: Answer): object {
  reply.status(status);
  if (status >= 400) reply.type('application/problem+json; charset=utf-8');
  return body;
}
