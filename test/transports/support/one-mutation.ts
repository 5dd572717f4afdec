import { Args, Int, Mutation, Query, Resolver } from '@nestjs/graphql';
import type { Type } from '@nestjs/common';
import { Idempotent, IdempotentOp, IdempotentOperation, type IdempotentOptions } from 'nestjs-idempotent';

export type Work = (name: string, op: IdempotentOperation) => unknown;

/** A resolver with `Mutation.act(name)`, which answers text, decorated with these options. */
export function actResolver(work: Work, options: IdempotentOptions = {}): Type {
  @Resolver()
  class ActResolver {
    @Query(() => Int)
    nothing() {
      return 0;
    }

    @Mutation(() => String, { nullable: true })
    @Idempotent(options)
    act(@Args('name', { defaultValue: 'x' }) name: string, @IdempotentOp() op: IdempotentOperation) {
      return work(name, op);
    }
  }
  return ActResolver;
}
