import { quote as quoteInMariaDb, quoteTable as quoteTableInMariaDb } from '../mariadb/quoting.js';
import { quote, quoteTable, type TableName } from '../table-name.js';

/** The statements that make and remove the log on one kind of database. */
export interface LogTable {
  create(table: TableName): readonly string[];
  drop(table: TableName): readonly string[];
}

/**
 * The setting (PostgreSQL) or variable (MariaDB) in which whoever deletes entries on purpose names the table. It is for the
 * transaction or the connection that sets it, so nobody deletes by mistake.
 */
export const DELETE_FROM = 'idempotency.delete_from';

/** One `do` under a lock of its own, as for the records: several processes may migrate at the same moment. */
export const postgresLog: LogTable = {
  create(table) {
    const quoted = quoteTable(table);
    const named = (suffix: string) => quote(`${table.name}_${suffix}`);
    const guard = quoteTable({ schema: table.schema, name: `${table.name}_guard` });
    const sentence = `${table.name} is append-only`;
    return [
      `do $migration$ begin
perform pg_advisory_xact_lock(hashtext('nestjs-idempotent'), hashtext('${table.name}'));
create table if not exists ${quoted} (
  sequence bigint generated always as identity,
  scope text collate "C" not null,
  command_id text collate "C" not null,
  command text not null,
  content text not null,
  fingerprint text collate "C" not null,
  appended_at timestamp with time zone not null default clock_timestamp(),
  constraint ${named('pkey')} primary key (sequence)
);
create unique index if not exists ${named('command')} on ${quoted} (scope, command_id);
create or replace function ${guard}() returns trigger language plpgsql as $guard$ begin
  if tg_op = 'DELETE' and current_setting('${DELETE_FROM}', true) = '${table.name}' then return old; end if;
  raise exception '${sentence}: % is refused', lower(tg_op) using errcode = 'restrict_violation';
end $guard$;
drop trigger if exists ${named('rows')} on ${quoted};
create trigger ${named('rows')} before update or delete on ${quoted} for each row execute function ${guard}();
drop trigger if exists ${named('all')} on ${quoted};
create trigger ${named('all')} before truncate on ${quoted} for each statement execute function ${guard}();
end $migration$`,
    ];
  },
  drop(table) {
    const guard = quoteTable({ schema: table.schema, name: `${table.name}_guard` });
    return [`drop table if exists ${quoteTable(table)}`, `drop function if exists ${guard}()`];
  },
};

/** Statement by statement: each of them says `if not exists`. */
export const mariadbLog: LogTable = {
  create(table) {
    const quoted = quoteTableInMariaDb(table);
    const binary = 'character set utf8mb4 collate utf8mb4_bin not null';
    const trigger = (event: 'update' | 'delete', when: string) => {
      const name = quoteTableInMariaDb({ schema: table.schema, name: `${table.name}_${event}` });
      const refuse = `signal sqlstate '45000' set message_text = '${table.name} is append-only: ${event} is refused'`;
      return `create trigger if not exists ${name} before ${event} on ${quoted} for each row ${when} ${refuse}${when === '' ? '' : '; end if'}`;
    };
    const variable = quoteInMariaDb(DELETE_FROM);
    return [
      `create table if not exists ${quoted} (
  sequence bigint not null auto_increment,
  scope varchar(255) ${binary},
  command_id varchar(255) ${binary},
  command varchar(255) ${binary},
  content longtext ${binary},
  fingerprint varchar(255) ${binary},
  appended_at datetime(6) not null default current_timestamp(6),
  primary key (sequence),
  unique key operation_log_command (scope, command_id)
) engine = InnoDB row_format = dynamic`,
      trigger('update', ''),
      trigger('delete', `if coalesce(@${variable}, '') <> '${table.name}' then`),
    ];
  },
  drop(table) {
    return [`drop table if exists ${quoteTableInMariaDb(table)}`];
  },
};
