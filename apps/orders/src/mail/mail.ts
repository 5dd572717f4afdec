/** A mail to a customer, before it is sent. */
export interface Mail {
  /** Which order it is about. */
  readonly orderId: string;
  /** The customer, by the name of the login. */
  readonly to: string;
  readonly subject: string;
  readonly lines: readonly string[];
}

/** As it is sent (RFC 5322). @param key stands in the Message-ID, so it is the same however often the mail is sent */
export function textOf({ to, subject, lines }: Mail, key: string, sentAt: Date): string {
  return [
    'From: Orders <orders@shop.example>',
    `To: ${quoted(to)} <${mailboxOf(to)}@customers.example>`,
    `Subject: ${subject}`,
    `Date: ${sentAt.toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${key}@shop.example>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    ...lines,
    '',
  ].join('\r\n');
}

const quoted = (name: string): string => `"${name.replace(/["\\]/g, '\\$&')}"`;

/** A user's name may have characters that stand for something in an address. */
const mailboxOf = (name: string): string => encodeURIComponent(name).replace(/[()*!']/g, '_');
