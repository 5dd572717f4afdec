import type { ModuleMetadata, Type } from '@nestjs/common';
import { headerKey, IdempotencyModule, messageKey } from 'nestjs-idempotent';

/** An app with these gateways or resolvers, and keys for every kind of handler. */
export const withProviders = (...providers: Type[]): ModuleMetadata => ({
  imports: [IdempotencyModule.forRoot({ key: [headerKey('Idempotency-Key'), messageKey('id')] })],
  providers,
});
