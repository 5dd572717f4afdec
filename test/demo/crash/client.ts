import { randomUUID } from 'node:crypto';
import { request, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a client gets for one request: an answer, or a connection that ends without one. */
export type Heard =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly replayed: boolean;
      readonly retryAfterMs: number | undefined;
      readonly text: string;
    }
  | { readonly kind: 'nothing'; readonly why: string };

export type Answer = Extract<Heard, { kind: 'answer' }>;

/** How long a client goes on asking until it has a final answer. */
const PATIENCE_MS = 60_000;
const NO_ANSWER_AFTER_MS = 20_000;
/** For a 5xx that does not say how long to wait. */
const PAUSE_MS = 200;

const CARD = '4242';
const ORDER = { items: [{ sku: 'A-123', quantity: 1, unitPrice: 1999 }] };

export type Leg = 'order' | 'payment';

export interface CustomerOptions {
  /** `false`: every request has a key of its own, as with a client that does not know of keys. */
  readonly keepsKeys: boolean;
  readonly card?: string;
}

/** Places one order and pays it, and sends again whatever got no final answer: the same requests with the same keys. */
export class Customer {
  readonly user = `user-${randomUUID()}`;
  private readonly keys: Record<Leg, string> = { order: randomUUID(), payment: randomUUID() };

  constructor(private readonly options: CustomerOptions) {}

  get keepsKeys(): boolean {
    return this.options.keepsKeys;
  }

  send(leg: Leg, url: string, orderId?: string): Promise<Heard> {
    const key = this.options.keepsKeys ? this.keys[leg] : randomUUID();
    const headers = { 'content-type': 'application/json', 'x-user-id': this.user, 'idempotency-key': key };
    return leg === 'order'
      ? post(`${url}/orders`, headers, ORDER)
      : post(`${url}/orders/${orderId}/payments`, headers, { amount: 1999, card: this.options.card ?? CARD });
  }

  /**
   * Both requests, each until it has a final answer or the connection ends without one; then nothing more is sent.
   * What was heard, in order.
   *
   * @param settled what is waited for after each answer; `false`: it did not come, and nothing more is sent
   */
  async orderAndPay(url: string, settled: () => Promise<boolean>): Promise<readonly Attempt[]> {
    const attempts: Attempt[] = [];
    let orderId: string | undefined;
    for (const leg of ['order', 'payment'] as const) {
      const last = await this.untilFinal(leg, url, attempts, orderId);
      if (last.kind === 'nothing' || !(await settled()) || last.status !== 201) return attempts;
      orderId ??= (JSON.parse(last.text) as { id: string }).id;
    }
    return attempts;
  }

  /** What the app itself counts, once the order is there. */
  async effects(url: string, orderId: string): Promise<Effects> {
    const response = await fetch(`${url}/orders/${orderId}/effects`, { headers: { 'x-user-id': this.user } });
    return (await response.json()) as Effects;
  }

  private async untilFinal(
    leg: Leg,
    url: string,
    attempts: Attempt[],
    orderId: string | undefined,
  ): Promise<Heard> {
    for (const deadline = performance.now() + PATIENCE_MS; ;) {
      const heard = await this.send(leg, url, orderId);
      attempts.push({ leg, heard });
      if (heard.kind === 'nothing' || isFinal(heard) || performance.now() > deadline) return heard;
      await sleep(heard.retryAfterMs ?? PAUSE_MS);
    }
  }
}

export interface Effects {
  readonly orders: number;
  /** Without those that were given back. */
  readonly charges: number;
  readonly emails: number;
  readonly stockMoves: number;
}

export interface Attempt {
  readonly leg: Leg;
  readonly heard: Heard;
}

/** A client sends again after any 5xx, and after a 409 that says when. */
const isFinal = ({ status, retryAfterMs }: Answer): boolean =>
  status < 500 && !(status === 409 && retryAfterMs !== undefined);

/** On a connection of its own, so that what ends it is the end of this request. */
function post(url: string, headers: Record<string, string>, body: object): Promise<Heard> {
  return new Promise((resolve) => {
    const nothing = (error: Error) =>
      resolve({ kind: 'nothing', why: (error as NodeJS.ErrnoException).code ?? error.message });
    const outgoing = request(url, { method: 'POST', headers, agent: false, timeout: NO_ANSWER_AFTER_MS });
    outgoing.once('response', (incoming) => void read(incoming).then(resolve, nothing));
    outgoing.once('timeout', () => outgoing.destroy(new Error('silence')));
    outgoing.once('error', nothing);
    outgoing.end(JSON.stringify(body));
  });
}

async function read(incoming: IncomingMessage): Promise<Answer> {
  let text = '';
  for await (const chunk of incoming.setEncoding('utf8')) text += chunk as string;
  const retryAfter = incoming.headers['retry-after'];
  return {
    kind: 'answer',
    status: incoming.statusCode ?? 0,
    replayed: incoming.headers['idempotent-replayed'] === 'true',
    retryAfterMs: retryAfter === undefined ? undefined : Number(retryAfter) * 1000,
    text,
  };
}
