import { Inject, Injectable } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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

  async onModuleInit(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
  }

  /** Sends it, unless a mail was sent under this key before. Answers the name of the file either way. */
  async send(mail: Mail, { idempotencyKey }: { readonly idempotencyKey: string }): Promise<string> {
    const name = `${mail.orderId}.${idempotencyKey}.eml`;
    const draft = join(this.folder, `.${idempotencyKey}.${randomUUID()}.draft`);
    await this.write(draft, textOf(mail, idempotencyKey, new Date()));
    await this.post(draft, join(this.folder, name));
    await this.discard(draft);
    return name;
  }

  /** How many mails were sent about an order. */
  async countFor(orderId: string): Promise<number> {
    const names = await readdir(this.folder);
    return names.filter((name) => name.startsWith(`${orderId}.`)).length;
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
