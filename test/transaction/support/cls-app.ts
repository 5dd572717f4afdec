import 'reflect-metadata';
import { ConflictException, Controller, Global, Injectable, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
// After Nest: they ask for it by `require`, which finds an ES module here only where that is loaded already.
import {
  ClsPluginTransactional,
  Propagation,
  Transactional,
  TransactionHost,
} from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { ClsModule } from 'nestjs-cls';
import { Idempotent, IdempotencyModule } from 'nestjs-idempotent';
import { outsideTransaction, typeOrmStorage } from 'nestjs-idempotent/typeorm';
import { DataSource, EntitySchema, type DataSourceOptions } from 'typeorm';

/** An application whose services use `@Transactional()` of nestjs-cls, as many do. `DATABASE` holds the options of its database. */
interface Note {
  id: number;
  text: string;
}
const NoteSchema = new EntitySchema<Note>({
  name: 'Note',
  tableName: 'notes',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    text: { type: 'varchar', length: 100 },
  },
});
const dataSource = new DataSource({
  ...(JSON.parse(process.env['DATABASE'] ?? '') as DataSourceOptions),
  entities: [NoteSchema],
});

@Injectable()
class Accounts {
  constructor(private readonly host: TransactionHost<TransactionalAdapterTypeOrm>) {}

  @Transactional()
  async add(text: string, fails = false) {
    await this.host.tx.insert(NoteSchema, { text });
    await this.addMore(text);
    if (fails) throw new Error('no');
  }

  @Transactional(Propagation.Mandatory)
  async addMore(text: string) {
    await this.host.tx.insert(NoteSchema, { text: `${text} too` });
  }

  @Transactional(Propagation.RequiresNew)
  async audit(text: string) {
    await this.host.tx.insert(NoteSchema, { text: `audit ${text}` });
  }

  @Transactional(Propagation.NotSupported)
  async note(text: string) {
    await this.host.tx.insert(NoteSchema, { text: `note ${text}` });
  }
}

@Controller()
class Payments {
  constructor(private readonly accounts: Accounts) {}

  @Post('pay')
  @Idempotent({ transactional: true })
  async pay() {
    await this.accounts.add('a');
    const caught = await this.accounts.add('b', true).catch((error: Error) => error.message);
    const ends = await Promise.allSettled([this.accounts.add('c', true), this.accounts.add('d')]);
    return { caught, ends: ends.map(({ status }) => status) };
  }

  @Post('refused')
  @Idempotent({ transactional: true })
  async refused() {
    await this.accounts.add('a');
    await this.accounts.audit('inside');
    await this.accounts.note('inside');
    await outsideTransaction(() => this.accounts.audit('outside'));
    await outsideTransaction(() => this.accounts.note('outside'));
    throw new ConflictException();
  }
}

@Global()
@Module({ providers: [{ provide: DataSource, useValue: dataSource }], exports: [DataSource] })
class Database {}

@Module({
  imports: [
    Database,
    ClsModule.forRoot({
      global: true,
      middleware: { mount: true },
      plugins: [
        new ClsPluginTransactional({
          adapter: new TransactionalAdapterTypeOrm({ dataSourceToken: DataSource }),
        }),
      ],
    }),
    IdempotencyModule.forRoot({ namespace: 'shop', storage: typeOrmStorage({ purgeEvery: false }) }),
  ],
  providers: [Accounts],
  controllers: [Payments],
})
class App {}

await dataSource.initialize();
await dataSource.synchronize();
const app = await NestFactory.create(App, { logger: ['error', 'warn'] });
app.enableShutdownHooks();
await app.listen(Number(process.env['PORT']), '127.0.0.1');
process.stdout.write('listening on\n');
process.once('SIGTERM', () => void app.close().then(() => dataSource.destroy()));
