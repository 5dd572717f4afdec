import { Inject, Injectable } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { link, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError } from '../../../shared/src/start/start-error.js';
import { APP_CONFIG } from '../config/config.module.js';
import type { AppConfig } from '../config/app-config.js';
import { CrashPoints } from '../crash/crash-points.js';
import { textOf } from './mail.js';
import type { Mail } from './mail.js';

/**
 * Stands in for a mail provider that knows idempotency keys: a mail that is sent is a file in `<DATA_DIR>/mail`, and there is
 * one per key. It is outside of the database, so no transaction takes back what was sent.
 */
@Injectable()
@CrashPoints()
export class Mailer implements OnModuleInit {
  private readonly folder: string;

  constructor(@Inject(APP_CONFIG) { dataDir }: AppConfig) {
    this.folder = join(dataDir, 'mail');
  }

  onModuleInit(): void {
    try {
      this.makeFolder();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new StartError(
        `Mails cannot be kept: ${reason}. Mend that, or let DATA_DIR name another folder.`,
        {
          cause,
        },
      );
    }
  }

  /** Sends it, unless a mail was sent under this key before. Answers the name of the file either way. */
  async send(mail: Mail, { idempotencyKey }: { readonly idempotencyKey: string }): Promise<string> {
    this.makeFolder();
    const name = `${mail.orderId}.${idempotencyKey}.eml`;
    const draft = join(this.folder, `.${idempotencyKey}.${randomUUID()}.draft`);
    await this.write(draft, textOf(mail, idempotencyKey, new Date()));
    try {
      await this.post(draft, join(this.folder, name));
    } finally {
      await this.discard(draft);
    }
    return name;
  }

  /** How many mails were sent about an order. */
  async countFor(orderId: string): Promise<number> {
    this.makeFolder();
    const names = await readdir(this.folder);
    return names.filter((name) => name.startsWith(`${orderId}.`)).length;
  }

  /** Each time: people clear mails away while the app runs. */
  private makeFolder(): void {
    mkdirSync(this.folder, { recursive: true });
  }

  /** On the disk before it counts as sent: the database will remember that it was. */
  private async write(draft: string, text: string): Promise<void> {
    await writeFile(draft, text, { flag: 'wx', flush: true });
  }

  /** A link is made whole or not at all, and never over a mail that is there: so a crash leaves no half of one. */
  private async post(draft: string, file: string): Promise<void> {
    try {
      await link(draft, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }

  private async discard(draft: string): Promise<void> {
    await rm(draft);
  }
}
