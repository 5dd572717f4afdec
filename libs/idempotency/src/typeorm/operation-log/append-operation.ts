import type { DeepPartial, Repository } from 'typeorm';
import { InvalidOptionsError } from '../../core/errors.js';
import { fingerprintOf } from '../../core/fingerprint.js';
import { keyProblem } from '../../core/key.js';
import { encodeValue } from '../../core/plain-value.js';
import { CommandReusedError } from '../../core/refusals.js';
import { insertOnce } from '../patterns/insert-once.js';
import type { LoggedOperation } from './entry.js';

/** What `appendOperation()` is to write down. */
export interface OperationCommand {
  /** Made by whoever commands, once per thing that is wanted: the same id again is the same command. */
  readonly commandId: string;
  /** Whose command ids these are, such as a user's: with another scope the same id is another command. @default '' */
  readonly scope?: string | undefined;
  /** What is commanded, for example `pay-order`. */
  readonly command: string;
  /** What it is commanded with. Plain data that survives JSON. */
  readonly content?: unknown;
}

/** What `appendOperation()` came to. */
export interface AppendedOperation<Entry extends LoggedOperation> {
  readonly entry: Entry;
  /** `false`: this command is in the log already, and `entry` is how it came there first. */
  readonly appended: boolean;
}

/**
 * Appends a command to the log, or answers the entry that it has made before. In a transaction (with a repository of that
 * transaction's manager) the entry is there if what was done for the command is, and only then.
 *
 * @throws CommandReusedError (`command-reused`, 422) when the id was first used for another command or content
 */
export async function appendOperation<Entry extends LoggedOperation>(
  log: Repository<Entry>,
  { commandId, scope = '', command, content = null }: OperationCommand,
): Promise<AppendedOperation<Entry>> {
  const problem =
    typeof commandId === 'string' ? keyProblem(commandId, undefined, undefined) : 'it is no string';
  if (problem !== undefined) throw refused(`\`commandId\` cannot be used: ${problem}`);
  // Databases may ignore spaces at the end when they compare.
  for (const [name, text] of Object.entries({ commandId, scope, command })) {
    if (typeof text !== 'string' || /\s$|\0/.test(text) || Buffer.byteLength(text) > MAX_BYTES)
      throw refused(
        `\`${name}\` must be a string of at most ${MAX_BYTES} bytes, without NUL and without a space at its end`,
      );
  }
  if (command === '') throw refused('`command` must say what is commanded');
  if (encodeValue(content) === undefined) throw refused('`content` must be plain data that survives JSON');
  const fingerprint = fingerprintOf([command, content]);
  const given = { scope, commandId, command, content, fingerprint };
  const { entity, inserted } = await insertOnce(log, given as unknown as DeepPartial<Entry>, {
    conflict: ['scope', 'commandId'],
  });
  if (entity.fingerprint !== fingerprint) throw new CommandReusedError();
  return { entry: entity, appended: inserted };
}

/** What the columns hold on MariaDB. */
const MAX_BYTES = 255;

function refused(what: string): InvalidOptionsError {
  return new InvalidOptionsError(`appendOperation: ${what}.`);
}
