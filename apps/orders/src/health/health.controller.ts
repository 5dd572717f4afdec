import { Controller, Get, HttpCode, Inject, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiServiceUnavailableResponse, ApiTags } from '@nestjs/swagger';
import { Outbox } from 'nestjs-idempotent/typeorm';
import type { OutboxCounts } from 'nestjs-idempotent/typeorm';
import { DataSource } from 'typeorm';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/app-config.js';
import { MESSAGE_TRANSPORT } from '../messages/transport.js';
import type { MessageTransport } from '../messages/transport.js';
import { PaymentGateway } from '../payments/gateway/payment-gateway.js';
import { StorageCheck } from '../idempotency/storage-check.js';
import { Public } from '../users/public.decorator.js';

interface Health {
  readonly status: 'ok' | 'unavailable';
  readonly platform: string;
  readonly database: Part;
  readonly storage: Part & { readonly name: string };
  /** Orders can be taken without it, only not be paid. */
  readonly payments: Part;
  /** Likewise: what is told of an order waits in the outbox. */
  readonly messages: Part & { readonly name: string };
  /** `oldestMs`: for how long the oldest of those that wait has been waiting. `dead`: given up until somebody decides. */
  readonly outbox: Part & Partial<Pick<OutboxCounts, 'waiting' | 'dead' | 'oldestMs'>>;
}

interface Part {
  readonly status: 'ok' | 'unavailable';
  readonly reason?: string;
}

/** A probe that waits longer than whoever asks helps nobody. */
const PATIENCE_MS = 2_000;

@ApiTags('health')
@Public()
@Controller('health')
export class HealthController {
  constructor(
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    private readonly dataSource: DataSource,
    private readonly storage: StorageCheck,
    private readonly gateway: PaymentGateway,
    private readonly outbox: Outbox,
    @Inject(MESSAGE_TRANSPORT) private readonly transport: MessageTransport,
  ) {}

  @Get()
  @HttpCode(200)
  @ApiOperation({ summary: 'Tell whether the app can take orders' })
  @ApiOkResponse({ description: 'It can.' })
  @ApiServiceUnavailableResponse({ description: 'It cannot; the body says which part is missing.' })
  async check(@Res({ passthrough: true }) reply: { status(code: number): unknown }): Promise<Health> {
    const [database, storage, payments, outbox] = await Promise.all([
      partOf(() => this.dataSource.query('select 1')),
      partOf(() => this.storage.check()),
      partOf(() => this.gateway.check()),
      this.lag(),
    ]);
    const status = database.status === 'ok' && storage.status === 'ok' ? 'ok' : 'unavailable';
    if (status !== 'ok') reply.status(503);
    const { platform, storage: name } = this.config;
    const messages = { ...this.transport.state(), name: this.transport.name };
    return { status, platform, database, storage: { ...storage, name }, payments, messages, outbox };
  }

  private async lag(): Promise<Health['outbox']> {
    const lag: Partial<Pick<OutboxCounts, 'waiting' | 'dead' | 'oldestMs'>> = {};
    const part = await partOf(async () => {
      const { waiting, dead, oldestMs } = await this.outbox.counts();
      Object.assign(lag, { waiting, dead, oldestMs });
    });
    return { ...part, ...lag };
  }
}

async function partOf(check: () => Promise<unknown>): Promise<Part> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    await Promise.race([check(), tooLate]);
    return { status: 'ok' };
  } catch (error) {
    return { status: 'unavailable', reason: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
  }
}
