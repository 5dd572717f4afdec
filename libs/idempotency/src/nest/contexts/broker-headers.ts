/**
 * The headers of a broker's message, as names and values in turn. Their names are looked up in any case: brokers keep them as they
 * were written.
 */
export function brokerHeaders(about: unknown): readonly string[] {
  const context = about as AnyContext | null | undefined;
  const headers = flat(headersOf(context));
  const messageId = propertiesOf(context)?.messageId;
  if (typeof messageId !== 'string' || messageId === '') return headers;
  // A property of AMQP with a place of its own; a header of that name is what the sender has said.
  const isSent = (name: string) =>
    headers.some((header, at) => at % 2 === 0 && header.toLowerCase() === name);
  return MESSAGE_ID_NAMES.filter((name) => !isSent(name.toLowerCase())).reduce<readonly string[]>(
    (all, name) => [...all, name, messageId],
    headers,
  );
}

const MESSAGE_ID_NAMES = ['messageId', 'message-id'];

/** What the sender of a RabbitMQ event has put there. In a request it is Nest's own number of it. */
export function brokerCorrelationId(about: unknown): unknown {
  const { correlationId, replyTo } = propertiesOf(about as AnyContext | null | undefined) ?? {};
  return replyTo === undefined ? correlationId : undefined;
}

interface AmqpProperties {
  readonly headers?: unknown;
  readonly messageId?: unknown;
  readonly correlationId?: unknown;
  readonly replyTo?: unknown;
}

function propertiesOf(about: AnyContext | null | undefined): AmqpProperties | undefined {
  if (typeof about !== 'object' || about === null || typeof about.getMessage !== 'function') return undefined;
  return about.getMessage()?.properties;
}

/** What Nest's contexts of messages may have. */
interface AnyContext {
  /** NATS; a map with `keys()` and `get()`. */
  getHeaders?(): unknown;
  /** RabbitMQ and Kafka. */
  getMessage?(): { properties?: AmqpProperties; headers?: unknown } | undefined;
  /** MQTT 5. */
  getPacket?(): { properties?: { userProperties?: unknown } } | undefined;
  /** TCP and Redis, when the client's serializer adds some. */
  getMetadata?(): unknown;
  /** gRPC. */
  getMap?(): unknown;
}

function headersOf(about: AnyContext | null | undefined): unknown {
  if (typeof about !== 'object' || about === null) return undefined;
  if (typeof about.getHeaders === 'function') return about.getHeaders();
  if (typeof about.getMessage === 'function') {
    const message = about.getMessage();
    return message?.properties?.headers ?? message?.headers;
  }
  if (typeof about.getPacket === 'function') return about.getPacket()?.properties?.userProperties;
  if (typeof about.getMap === 'function') return about.getMap();
  return about.getMetadata?.();
}

function flat(headers: unknown): string[] {
  if (typeof headers !== 'object' || headers === null) return [];
  return entriesOf(headers).flatMap(([name, values]) =>
    (Array.isArray(values) ? (values as unknown[]) : [values]).flatMap((value) => {
      const text = textOf(value);
      return text === undefined ? [] : [name, text];
    }),
  );
}

function entriesOf(headers: object): (readonly [string, unknown])[] {
  const { keys, values } = headers as Partial<{ keys(): Iterable<string>; values(name: string): unknown }>;
  if (typeof keys !== 'function') return Object.entries(headers);
  const list = [...keys.call(headers)];
  if (headers instanceof Map) return list.map((name) => [name, (headers as Map<string, unknown>).get(name)]);
  return list.map((name) => [name, values?.call(headers, name)]);
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : undefined;
}
