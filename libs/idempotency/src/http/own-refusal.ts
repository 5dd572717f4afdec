/** What a handler said with an error in the words of its transport. */
export interface OwnRefusal {
  readonly as: 'message' | 'graphql';
  /** The status that it names itself; undefined for most. */
  readonly status: number | undefined;
}

interface AnyRefusal {
  readonly name?: unknown;
  readonly getError?: unknown;
  readonly extensions?: unknown;
}

/**
 * A refusal of the application's own: an `RpcException`, a `WsException`, or a `GraphQLError` with a code. By their form, because
 * their packages are optional; clients of other services throw errors of other forms.
 */
export function ownRefusalOf(error: unknown): OwnRefusal | undefined {
  if (!(error instanceof Error)) return undefined;
  const { name, getError, extensions } = error as AnyRefusal;
  if (typeof getError === 'function') {
    return {
      as: 'message',
      status: statusIn((getError as () => unknown).call(error), 'status', 'statusCode'),
    };
  }
  if (name !== 'GraphQLError' || !isObject(extensions)) return undefined;
  // Without a code it goes out as one of these, and means no more than any other failure.
  if (typeof extensions['code'] !== 'string' || extensions['code'] === 'INTERNAL_SERVER_ERROR')
    return undefined;
  return { as: 'graphql', status: statusIn(extensions['http'], 'status') ?? statusIn(extensions, 'status') };
}

function statusIn(value: unknown, ...names: readonly string[]): number | undefined {
  if (!isObject(value)) return undefined;
  const found = names.map((name) => value[name]).find((item) => typeof item === 'number');
  return Number.isInteger(found) ? found : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
