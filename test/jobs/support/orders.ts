/** What the commands of the recipes are about. */
export interface NewOrder {
  readonly sku: string;
}

export interface Order {
  readonly id: number;
}

export abstract class Orders {
  abstract insert(order: NewOrder): Promise<Order>;
}

export abstract class Mailer {
  abstract send(order: Order, key: string): Promise<void>;
}
