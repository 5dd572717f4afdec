/** Which headers of a response are kept with the record; see `replayHeaders` in the options. */
export type ReplayHeaders =
  | { readonly include?: readonly string[]; readonly exclude?: readonly string[] }
  | ((name: string) => boolean);

/** They belong to one exchange and not to the answer: RFC 9110 section 7.6.1, and what every exchange sets anew. */
const NEVER = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'date',
  'set-cookie',
  'idempotent-replayed',
  'idempotency-expires',
  'idempotency-status',
]);
const NEVER_PREFIXES = ['access-control-', 'ratelimit', 'x-ratelimit-', 'x-rate-limit-'];

/** Whether a header says something about this exchange alone: never recorded, never replaced on a replay. */
export function belongsToExchange(name: string): boolean {
  const lower = name.toLowerCase();
  return NEVER.has(lower) || NEVER_PREFIXES.some((prefix) => lower.startsWith(prefix));
}

export function headerFilter(option: ReplayHeaders | undefined): (name: string) => boolean {
  if (option === undefined) return (name) => !belongsToExchange(name);
  if (typeof option === 'function') return (name) => !belongsToExchange(name) && option(name.toLowerCase());
  const include = option.include && new Set(option.include.map((name) => name.toLowerCase()));
  const exclude = new Set(option.exclude?.map((name) => name.toLowerCase()));
  // Without these two a body cannot be understood, whatever the list says.
  const always = (name: string) => name === 'content-type' || name === 'content-length';
  return (name) => {
    const lower = name.toLowerCase();
    if (belongsToExchange(lower)) return false;
    return always(lower) || ((include?.has(lower) ?? true) && !exclude.has(lower));
  };
}
