import { messageKey } from 'nestjs-idempotent';

/**
 * What all consumers tell `@Idempotent()`. Each adds the name of its operation: two consumers of one message have a record each.
 *
 * A message comes from the shop itself, whoever placed the order: so all share one scope.
 */
export const ONCE_PER_MESSAGE = {
  key: messageKey('id'),
  scope: () => 'shop',
  ttl: '7d', // as long as the outbox keeps what it has delivered
} as const;
