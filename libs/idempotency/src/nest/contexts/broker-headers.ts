/**
 * The headers of a broker's message, as names and values in turn. Their names are looked up in any case: brokers keep them as they
 * were written.
 */
export function brokerHeaders(about: unknown): readonly string[] {
  return flat(headersOf(about as AnyContext | null | undefined));
}

/** What Nest's contexts of messages may have. */
interface AnyContext {
  /** NATS; a map with `keys()` and `get()`. */
  getHeaders?(): unknown;
  /** RabbitMQ and Kafka. */
  getMessage?(): { properties?: { headers?: unknown }; headers?: unknown } | undefined;
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
