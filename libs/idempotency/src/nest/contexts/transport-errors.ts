import { RecordUnreadableError } from '../../core/errors.js';
import type { HandlerError } from '../../http/late-outcome.js';
import { ownRefusalOf } from '../../http/own-refusal.js';
import { describeError, errorAgain } from '../http-errors.js';
import { IdempotencyException } from '../problems.js';
import type { Transport } from '../transports.js';
import { optionalPackage } from './optional-package.js';

/** A thrown error that is final, as it is recorded. */
export type RecordedError =
  | ({ readonly as: 'http'; readonly message: string } & HandlerError)
  | { readonly as: 'message'; readonly payload: unknown; readonly message: string }
  | { readonly as: 'graphql'; readonly extensions: unknown; readonly message: string };

type MessageException = new (payload: string | object) => Error;
type FieldError = new (message: string, options: { extensions: object }) => Error;

/** Errors in the words of each transport. Their packages are optional: they are loaded when handlers need them. */
export class TransportErrors {
  private rpc: MessageException | undefined;
  private retriable: MessageException | undefined;
  private ws: MessageException | undefined;
  private graphql: FieldError | undefined;

  async load(transports: ReadonlySet<Transport>): Promise<void> {
    if (transports.has('rpc')) {
      const name = '@nestjs/microservices';
      const microservices = await optionalPackage(name, () => import('@nestjs/microservices'));
      this.rpc = microservices.RpcException;
      this.retriable = microservices.KafkaRetriableException;
    }
    if (transports.has('ws')) {
      const name = '@nestjs/websockets';
      this.ws = (await optionalPackage(name, () => import('@nestjs/websockets'))).WsException;
    }
    if (transports.has('graphql')) {
      this.graphql = (await optionalPackage('graphql', () => import('graphql'))).GraphQLError as FieldError;
    }
  }

  /** A refusal of ours as the clients of a transport know refusals; any other error as it is. */
  inWordsOf(transport: Transport, error: unknown): unknown {
    if (!(error instanceof IdempotencyException)) return error;
    const problem = problemOf(error);
    // Drivers take `extensions` over from whatever error a resolver throws; filters still meet our class.
    if (transport === 'graphql') return Object.assign(error, { extensions: problem });
    return this.messageError(transport, problem, error.message) ?? error;
  }

  /**
   * The same for a message of Kafka: a refusal that says when to come again must reach its consumer, which would go on to the
   * next message otherwise.
   */
  inWordsOfKafka(error: unknown): unknown {
    const mayComeAgain = error instanceof IdempotencyException && error.retryAfter !== undefined;
    if (!mayComeAgain || this.retriable === undefined) return this.inWordsOf('rpc', error);
    return Object.assign(new this.retriable(problemOf(error)), { message: error.message });
  }

  /** What an error says, to be said again; undefined for unexpected ones. */
  describe(error: unknown): { status: number | undefined; recorded: RecordedError } | undefined {
    if (error instanceof IdempotencyException) {
      const { message } = error;
      return { status: error.getStatus(), recorded: { as: 'message', payload: problemOf(error), message } };
    }
    const known = describeError(error);
    if (known !== undefined) {
      const { message } = error as Error;
      return { status: known.status, recorded: { as: 'http', ...known, message } };
    }
    const own = ownRefusalOf(error);
    if (own === undefined) return undefined;
    const { message, getError, extensions } = error as Error & { getError(): unknown; extensions: unknown };
    const recorded: RecordedError =
      own.as === 'message'
        ? { as: 'message', payload: getError.call(error), message }
        : { as: 'graphql', extensions, message };
    return { status: own.status, recorded };
  }

  /** @throws RecordUnreadableError when it is none of what `describe` gives */
  rebuild(transport: Transport, value: unknown): Error {
    const { as, message, ...said } = (value ?? {}) as Record<string, unknown>;
    if (typeof message !== 'string') throw malformed();
    const { status, response, name, payload, extensions } = said;
    const isSaid = (what: unknown): what is string | object =>
      typeof what === 'string' || (typeof what === 'object' && what !== null);
    if (as === 'http' && typeof status === 'number' && isSaid(response)) {
      const named = typeof name === 'string' ? { name } : {};
      return Object.assign(errorAgain({ status, response, ...named }), { message });
    }
    if (as === 'message' && isSaid(payload)) {
      return this.messageError(transport, payload, message) ?? this.fieldError(message, payload);
    }
    if (as === 'graphql' && isSaid(extensions)) return this.fieldError(message, extensions);
    throw malformed();
  }

  private messageError(transport: Transport, payload: string | object, message: string): Error | undefined {
    const type = transport === 'rpc' ? this.rpc : transport === 'ws' ? this.ws : undefined;
    return type && Object.assign(new type(payload), { message });
  }

  private fieldError(message: string, payload: string | object): Error {
    const extensions = typeof payload === 'object' ? payload : {};
    if (this.graphql !== undefined) return new this.graphql(message, { extensions });
    return Object.assign(new Error(message), { extensions });
  }
}

function problemOf(error: IdempotencyException): object {
  const { retryAfter } = error;
  return { ...(error.getResponse() as object), ...(retryAfter === undefined ? {} : { retryAfter }) };
}

function malformed(): RecordUnreadableError {
  return new RecordUnreadableError('its error is malformed');
}
