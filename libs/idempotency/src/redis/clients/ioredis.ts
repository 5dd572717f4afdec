import type { HandedInClient, RedisClient, RedisCommand } from '../redis-client.js';

/** The members of a client of the package `ioredis` 5 (`Redis`, also with `sentinels`) that are used. */
export interface IoredisClient {
  readonly status: string;
  readonly options: IoredisOptions;
  callBuffer(name: string, ...args: (string | Buffer)[]): Promise<unknown>;
  pipeline(): IoredisPipeline;
  connect(): Promise<unknown>;
}

/** Of the options of an `ioredis` client those that matter here. */
export interface IoredisOptions {
  readonly host?: string;
  readonly port?: number;
  readonly keyPrefix?: string;
  readonly stringNumbers?: boolean;
  readonly enableAutoPipelining?: boolean;
  readonly commandTimeout?: number;
  readonly sentinels?: readonly unknown[] | null;
  readonly socketTimeout?: number;
}

/** Of a pipeline of `ioredis` what is used here. */
export interface IoredisPipeline {
  callBuffer(name: string, ...args: (string | Buffer)[]): unknown;
  exec(): Promise<[error: Error | null, answer: unknown][] | null>;
}

export function fromIoredis(client: IoredisClient): RedisClient & HandedInClient {
  const { options } = client;
  const send = options.enableAutoPipelining === true ? sendOutsideAutoPipeline : callBuffer;
  return {
    isOpen: () => client.status !== 'wait' && client.status !== 'end',
    isReady: () => client.status === 'ready' && streamOf(client)?.writable !== false,
    send:
      options.stringNumbers === true
        ? (command) => send(client, command).then(withNumbers)
        : (command) => send(client, command),
    connectionId: () => streamOf(client),
    warnings: () => [...tooHasty(options), ...deafToSentinels(options)],
    // ioredis adds it to the keys of every command, and to no pattern.
    keyPrefix: { stored: options.keyPrefix ?? '', sent: '' },
  };
}

/** A claim that is answered after that time would stay for its lease, and nobody would know. */
export function tooHasty({ commandTimeout }: IoredisOptions): readonly string[] {
  if (commandTimeout === undefined) return [];
  return [
    `redisStorage: the \`client\` handed in has \`commandTimeout: ${commandTimeout}\`, which gives up answers that are on their way: ` +
      'a claim that Redis has granted may then block its key until its lease is over. Leave it out: `storageTimeout` bounds every call.',
  ];
}

/**
 * A primary that stands still keeps its connections. `failoverDetector` is no mend: a message from the sentinels while it
 * connects ends the client for good.
 */
function deafToSentinels({ sentinels, socketTimeout }: IoredisOptions): readonly string[] {
  if (!sentinels?.length || socketTimeout !== undefined) return [];
  return [
    'redisStorage: the `client` handed in follows its sentinels only when its connection ends. When the primary stands still, every ' +
      'operation is refused until it goes on, whomever the sentinels have promoted. Make the client with `socketTimeout: 5000` (milliseconds).',
  ];
}

function callBuffer(client: IoredisClient, [name = '', ...args]: RedisCommand): Promise<unknown> {
  return client.callBuffer(String(name), ...args).catch(failWithoutArguments);
}

/** ioredis adds the command with all its arguments. A logger would write them out: a response, an owner token. */
function failWithoutArguments(error: unknown): never {
  throw withoutArguments(error);
}

function withoutArguments(error: unknown): unknown {
  if (typeof error === 'object' && error !== null && 'command' in error) delete error.command;
  return error;
}

/**
 * Automatic pipelines wait for the answers of the one before. A pipeline by hand is written at once, so that nothing of
 * ours is left in a queue when the connection is lost.
 */
async function sendOutsideAutoPipeline(
  client: IoredisClient,
  [name = '', ...args]: RedisCommand,
): Promise<unknown> {
  const pipeline = client.pipeline();
  pipeline.callBuffer(String(name), ...args);
  const [[error, answer] = [new Error('The pipeline was not executed.'), undefined]] =
    (await pipeline.exec()) ?? [];
  if (error !== null) throw withoutArguments(error);
  return answer;
}

/** With `stringNumbers` integers are texts. All other texts of an answer are Buffers. */
function withNumbers(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.map(withNumbers);
  return typeof answer === 'string' && /^-?\d+$/.test(answer) ? Number(answer) : answer;
}

/**
 * The socket. Its declaration says that it is private, but only it shows two things: whether a command would be written
 * or queued between the end of a connection and the event that tells of it, and whether an answer came on the connection
 * that the command was sent on (unanswered commands are sent again on the next one, which may lead to another server).
 */
function streamOf(client: object): { readonly writable?: boolean } | undefined {
  return (client as { stream?: { writable?: boolean } }).stream;
}
