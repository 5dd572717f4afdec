import { InvalidOptionsError } from '../../core/errors.js';
import { describeTable, type TableName } from '../table-name.js';
import { DEFAULT_OUTBOX_TABLE } from './tables.js';

/** What can be wrong with the table, as it is told. @param entity how it is called on this kind of database */
export class TableProblems {
  private readonly name: string;

  constructor(
    table: TableName,
    private readonly entity: string,
  ) {
    this.name = describeTable(table);
  }

  missing(place: string): InvalidOptionsError {
    return refusal(`there is no table \`${this.name}\` (${place}). ${this.mend()}`);
  }

  lacks(columns: readonly string[]): InvalidOptionsError {
    const list = columns.map((column) => `\`${column}\``).join(', ');
    return refusal(
      `the table \`${this.name}\` is not the one that the outbox needs; it lacks ${list}. ${this.mend()}`,
    );
  }

  mayNotWrite(place: string): InvalidOptionsError {
    return refusal(
      `the table \`${this.name}\` may not be read and written (${place}). Grant SELECT, INSERT, UPDATE and DELETE on it.`,
    );
  }

  idNotUnique(): InvalidOptionsError {
    return refusal(
      `nothing makes \`id\` unique in the table \`${this.name}\`, so two messages could have the id by which consumers know them. Add a unique index on it.`,
    );
  }

  private mend(): string {
    return this.name === DEFAULT_OUTBOX_TABLE
      ? `Add the migration \`CreateOutbox1795478400000\` from \`nestjs-idempotent/typeorm\` to the DataSource and run it, or its entity \`${this.entity}\` where the schema is synchronized.`
      : `Add the migration \`createOutbox('${this.name}')\` from \`nestjs-idempotent/typeorm\` to the DataSource and run it.`;
  }
}

export function refusal(sentence: string): InvalidOptionsError {
  return new InvalidOptionsError(`OutboxModule: ${sentence}`);
}
