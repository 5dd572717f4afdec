import { describe, expect, it } from '@jest/globals';
import { ClassSerializerInterceptor, Controller, SerializeOptions } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { Field, ID, Mutation, ObjectType, Query, Resolver } from '@nestjs/graphql';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { Exclude, Expose } from 'class-transformer';
import { Idempotent, messageKey } from 'nestjs-idempotent';
import { ask, codeOf, drivers, startGraphql } from './support/graphql-app.js';
import { startTcp } from './support/tcp-app.js';

/** As a database gives it: no class of the schema, and none that a handler declares. */
class AccountRow {
  id = 'a1';
  @Exclude()
  secret = 'of the row';
}

@ObjectType()
class Account {
  @Field(() => ID)
  id!: string;

  @Field(() => String, { nullable: true })
  secret?: string;
}

class Versioned {
  id = 'a1';
  @Expose({ since: 2 })
  secret = 'of version 2';
}

const serializer = { provide: APP_INTERCEPTOR, useClass: ClassSerializerInterceptor };

describe('a member that a serializer leaves out by the class of its value', () => {
  it.each(drivers)('does not come to light on a replay by $name', async (driver) => {
    @Resolver()
    class Accounts {
      @Query(() => String)
      nothing() {
        return '';
      }

      @Mutation(() => Account)
      @Idempotent()
      async open(): Promise<Account> {
        return new AccountRow();
      }
    }
    const app = await startGraphql(driver, { providers: [serializer, Accounts] });
    const open = () => ask(app, 'mutation { open { id secret } }', { key: 'k' });

    expect((await open()).data).toEqual({ open: { id: 'a1', secret: null } });
    expect(codeOf(await open())).toBe('result-not-replayable');
  });

  it('does not come to light on a replay for those who are of an older version', async () => {
    @Controller()
    class Accounts {
      @MessagePattern('open')
      @Idempotent({ key: messageKey('id') })
      @SerializeOptions({ version: 1 })
      async open(@Payload() _data: unknown) {
        return new Versioned();
      }
    }
    const app = await startTcp({ controllers: [Accounts], providers: [serializer] });

    expect(await app.send('open', { id: 'm1' })).toEqual({ id: 'a1' });
    expect(await app.send('open', { id: 'm1' })).toMatchObject({ error: { code: 'result-not-replayable' } });
  });
});
