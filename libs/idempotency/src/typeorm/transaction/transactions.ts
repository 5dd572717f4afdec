import type { DataSource } from 'typeorm';
import type { StorageTransaction, StorageTransactions } from '../../core/transaction.js';
import type { TableName } from '../table-name.js';
import type { TransactionDialect } from './dialect.js';
import { ISOLATIONS } from './isolation.js';
import { JoinedDataSource } from './joined-data-source.js';
import { outsideTransaction } from './scope.js';
import { TypeOrmTransaction } from './typeorm-transaction.js';

export interface TransactionsParts {
  /** Whose runners join: the one that the application itself works with. */
  readonly dataSource: DataSource;
  readonly dialect: TransactionDialect;
  /** Where the records are; what the session of a handler has set must not lead elsewhere. */
  readonly table: TableName;
  /** Every DataSource of the application, as far as that is known. */
  readonly all: readonly DataSource[];
}

export class TypeOrmTransactions implements StorageTransactions {
  readonly isolations: readonly string[] = ISOLATIONS;
  readonly cautions: readonly string[];
  private source: JoinedDataSource | undefined;

  constructor(private readonly parts: TransactionsParts) {
    this.cautions = cautionsFor(parts);
  }

  open(isolation?: string): StorageTransaction {
    const { dataSource, dialect, table } = this.parts;
    this.source ??= new JoinedDataSource(dataSource);
    // TypeORM 1.x has an option for all transactions of a DataSource.
    const options = dataSource.options as { isolationLevel?: string };
    return new TypeOrmTransaction(this.source, {
      dialect,
      table,
      isolation: isolation ?? options.isolationLevel,
      log: (sql) => void dataSource.logger.logQuery(sql),
    });
  }

  outside<T>(fn: () => T): T {
    return outsideTransaction(fn);
  }

  /** Nothing joins any more. */
  close(): void {
    this.source?.leave();
    this.source = undefined;
  }
}

function cautionsFor({ dataSource, all }: TransactionsParts): readonly string[] {
  const others = all.filter((one) => one !== dataSource);
  if (others.length === 0) return [];
  const names = others
    .map(({ options }) => `\`${String(options.database ?? 'default')}\` (${options.type})`)
    .join(', ');
  return [
    `The application has other DataSources: ${names}. What a \`transactional\` handler writes through them is not in its transaction: it stays when that is rolled back. ` +
      'Write it in steps, or after the commit.',
  ];
}
