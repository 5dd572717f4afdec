/** An event to be sent once what it tells of is committed. */
export interface NewOutboxMessage {
  /** Where it goes: the pattern of the consumers' `@EventPattern()`, for example `orders.placed`. At most 255 bytes. */
  readonly pattern: string;
  /** What it tells. Plain data that survives JSON; taken as it is now. */
  readonly payload: unknown;
  /**
   * What it is about, for example `order:4711`; at most 255 bytes. Messages of one aggregate are delivered in the order in which they were added,
   * as far as their writers wait for each other: a writer locks its aggregate's row before it adds.
   *
   * @default none: it waits for no other message
   */
  readonly aggregate?: string | undefined;
  /** Stable through all deliveries; consumers use it as their key. @default a new UUID */
  readonly id?: string | undefined;
  /** Ties it to what it came of. @default that of the running operation, else a new one */
  readonly correlationId?: string | undefined;
  /** Further headers, for publishers that send some. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** A message as publishers get it. */
export interface OutboxMessage {
  readonly id: string;
  readonly pattern: string;
  readonly payload: unknown;
  readonly aggregate: string | undefined;
  readonly correlationId: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly addedAt: Date;
  /** Number of this try to publish it, from 1. */
  readonly attempt: number;
}
