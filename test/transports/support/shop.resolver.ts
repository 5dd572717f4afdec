import {
  Args,
  createUnionType,
  Field,
  ID,
  InputType,
  Int,
  InterfaceType,
  Mutation,
  ObjectType,
  Parent,
  Query,
  registerEnumType,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import { Idempotent, IdempotencyKey, IdempotentOp, IdempotentOperation } from 'nestjs-idempotent';

export enum OrderState {
  Placed = 'placed',
  Paid = 'paid',
}
registerEnumType(OrderState, { name: 'OrderState' });

@InterfaceType()
export abstract class Thing {
  @Field(() => ID)
  id!: string;
}

@ObjectType()
export class Item {
  @Field()
  sku!: string;

  /** Minor units, as a database gives them. */
  price!: bigint;

  @Field({ name: 'cost' })
  get cost(): string {
    return `${this.price} cents`;
  }
}

@ObjectType({ implements: () => [Thing] })
export class Order extends Thing {
  @Field(() => [[Item]], { nullable: true })
  parcels!: Item[][] | null;

  @Field()
  placedAt!: Date;

  @Field(() => OrderState)
  state!: OrderState;

  @Field(() => Int, { nullable: true })
  discount!: number | null;

  /** No field: only a resolver reads it. */
  notes!: Map<string, Buffer>;

  @Field()
  get label(): string {
    return this.titled('Order');
  }

  titled(word: string): string {
    return `${word} ${this.id} of ${this.placedAt.toISOString()}`;
  }
}

@ObjectType({ implements: () => [Thing] })
export class Refund extends Thing {
  @Field()
  reason!: string;
}

export const Outcome = createUnionType({ name: 'Outcome', types: () => [Order, Refund] as const });

@InputType()
export class NewOrder {
  @Field()
  sku!: string;

  @Field(() => Int, { defaultValue: 1 })
  quantity!: number;

  @Field({ nullable: true })
  clientMutationId?: string;
}

/** What has run, in this order. */
export const effects: string[] = [];
let made = 0;

export function makeOrder(sku: string): Order {
  made += 1;
  const item = Object.assign(new Item(), { sku, price: 12345678901234567890n });
  return Object.assign(new Order(), {
    id: `o${made}`,
    parcels: [[item], []],
    placedAt: new Date(1_700_000_000_000 + made),
    state: OrderState.Placed,
    discount: null,
    notes: new Map([['gift', Buffer.from([104, 105])]]),
  });
}

@Resolver(() => Order)
export class ShopResolver {
  @Query(() => Int)
  count(): number {
    return effects.length;
  }

  @Mutation(() => Order)
  @Idempotent()
  async createOrder(@Args('input') input: NewOrder): Promise<Order> {
    effects.push(`create ${input.sku}`);
    return makeOrder(input.sku);
  }

  @Mutation(() => Outcome)
  @Idempotent()
  settle(@Args('sku') sku: string): typeof Outcome {
    effects.push(`settle ${sku}`);
    return sku === 'refund' ? Object.assign(new Refund(), { id: 'r1', reason: 'late' }) : makeOrder(sku);
  }

  @Mutation(() => [Thing])
  @Idempotent()
  async things(): Promise<Thing[]> {
    effects.push('things');
    return [makeOrder('a'), Object.assign(new Refund(), { id: 'r2', reason: 'broken' })];
  }

  @Mutation(() => String)
  @Idempotent()
  told(@IdempotencyKey() key: string, @IdempotentOp() op: IdempotentOperation): string {
    effects.push('told');
    return [key, op.key, op.attempt, op.takenOver, op.deriveKey('x') === op.deriveKey('x')].join(' ');
  }

  @Mutation(() => Int)
  plain(): number {
    return effects.push('plain');
  }

  /** Works on what the mutation returned, with its methods and its hidden members. */
  @ResolveField(() => String)
  gift(@Parent() order: Order): string {
    return `${order.titled('Gift for')} ${order.notes.get('gift')?.toString('latin1')} ${order instanceof Order}`;
  }
}
