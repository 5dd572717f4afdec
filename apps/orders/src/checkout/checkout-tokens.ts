import { Injectable } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { DataSource } from 'typeorm';
import { Problem } from '../../../shared/src/problems/problem.js';
import { Secret } from './secret.entity.js';

/** Keys of this form are ours; a client's own key cannot pretend to be one. */
const FORM = /^checkout\.(\d{1,12})\.([\w-]{22})\.([\w-]{43})$/;
const PREFIX = 'checkout.';

/** As long as somebody may look at a page before clicking. */
const VALID_S = 60 * 60;

export interface CheckoutToken {
  readonly token: string;
  readonly expiresAt: Date;
}

/**
 * Tokens that a server hands out for use as a key, signed instead of stored: opening a page costs no write, and nothing has
 * to be cleaned up. That each is good for one order is the doing of the idempotency record, as with every other key.
 */
@Injectable()
export class CheckoutTokens implements OnModuleInit {
  private secret!: Buffer;

  constructor(private readonly dataSource: DataSource) {}

  /** All apps over one database accept each other's tokens, so the secret is there. */
  async onModuleInit(): Promise<void> {
    const secret = await this.dataSource.manager.findOneByOrFail(Secret, { name: 'checkout' });
    this.secret = Buffer.from(secret.value, 'base64url');
  }

  issue(userId: string): CheckoutToken {
    const expires = Math.floor(Date.now() / 1000) + VALID_S;
    const content = `${PREFIX}${expires}.${randomBytes(16).toString('base64url')}`;
    return { token: `${content}.${this.sign(content, userId)}`, expiresAt: new Date(expires * 1000) };
  }

  /** Lets pass what is no token of ours. @throws Problem 403 for a token that this user may not use, or not any more */
  check(key: string, userId: string): void {
    if (!key.startsWith(PREFIX)) return;
    const [, expires = '', , signature = ''] = FORM.exec(key) ?? [];
    const content = key.slice(0, key.lastIndexOf('.'));
    if (!isEqual(signature, this.sign(content, userId))) {
      throw new Problem(
        403,
        'checkout-token-refused',
        'This checkout token was not handed out to you. Get one of your own: POST /checkout.',
      );
    }
    if (Number(expires) * 1000 <= Date.now()) {
      throw new Problem(
        403,
        'checkout-token-expired',
        'This checkout token is too old for a new order. Get another one: POST /checkout.',
      );
    }
  }

  private sign(content: string, userId: string): string {
    return createHmac('sha256', this.secret).update(`${content}\n${userId}`).digest('base64url');
  }
}

function isEqual(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
