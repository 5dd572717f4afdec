import type { PlacedOrder } from '../orders/order-placed.message.js';
import type { Mail } from './mail.js';

export function mailFor({ orderId, userId, items, total, note }: PlacedOrder): Mail {
  return {
    orderId,
    to: userId,
    subject: `Your order ${orderId}`,
    lines: [
      `Hello ${userId},`,
      '',
      'thank you for your order:',
      '',
      ...items.map(({ sku, quantity, unitPrice }) => `  ${quantity} x ${sku}, ${unitPrice} each`),
      '',
      `Total: ${total} (in minor units)`,
      ...(note ? ['', 'Your note:', ...note.split(/\r\n|\r|\n/).map((line) => `  ${line}`)] : []),
      '',
      `Order ${orderId}`,
    ],
  };
}
