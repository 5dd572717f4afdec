import { randomUUID } from 'node:crypto';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- what an answer holds is what tests assert
  readonly body: any;
  readonly replayed: boolean;
}

export interface Asking {
  /** `null`: says nothing about who asks. */
  readonly user?: string | null;
  /** `null`: sends no key. Left out: a new one. */
  readonly key?: string | null;
  readonly ifMatch?: string;
  readonly body?: unknown;
}

/** One customer of one running app: `ada.post('/orders', { body })`. Every test has its own, so they never meet. */
export class OrdersClient {
  constructor(
    private readonly url: string,
    readonly user = `user-${randomUUID()}`,
  ) {}

  /** The same customer at another app. */
  at(url: string): OrdersClient {
    return new OrdersClient(url, this.user);
  }

  get = (path: string, asking?: Asking): Promise<Answer> => this.ask('GET', path, { key: null, ...asking });
  post = (path: string, asking?: Asking): Promise<Answer> => this.ask('POST', path, asking);
  put = (path: string, asking?: Asking): Promise<Answer> => this.ask('PUT', path, { key: null, ...asking });
  patch = (path: string, asking?: Asking): Promise<Answer> =>
    this.ask('PATCH', path, { key: null, ...asking });
  delete = (path: string, asking?: Asking): Promise<Answer> =>
    this.ask('DELETE', path, { key: null, ...asking });

  /** Places an order and answers it. */
  async order(
    items: readonly object[] = [{ sku: 'A-123', quantity: 2, unitPrice: 1999 }],
  ): Promise<Answer['body']> {
    const { status, body } = await this.post('/orders', { body: { items } });
    if (status !== 201) throw new Error(`The order was not placed: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  private async ask(
    method: string,
    path: string,
    { user = this.user, key = randomUUID(), ifMatch, body }: Asking = {},
  ): Promise<Answer> {
    const headers = new Headers();
    if (user !== null) headers.set('x-user-id', user);
    if (key !== null) headers.set('idempotency-key', key);
    if (ifMatch !== undefined) headers.set('if-match', ifMatch);
    if (body !== undefined) headers.set('content-type', 'application/json');
    const response = await fetch(this.url + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json');
    return {
      status: response.status,
      headers: response.headers,
      body: isJson ? JSON.parse(text) : text,
      replayed: response.headers.get('idempotent-replayed') === 'true',
    };
  }
}
