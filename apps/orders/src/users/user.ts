/** Whoever sends a request. Also the scope of idempotency keys: two users may choose the same key. */
export interface User {
  readonly id: string;
}

/** What the guard adds to the platform's request. */
export interface RequestWithUser {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  user?: User;
}
