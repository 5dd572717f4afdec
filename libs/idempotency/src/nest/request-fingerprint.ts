import { TooDeepError } from '../core/canonical-json.js';
import { fingerprintOf, NO_FINGERPRINT } from '../core/fingerprint.js';
import { hashOfBytes } from '../http/content-hash.js';
import {
  comparableBody,
  partsOfUrl,
  selectMembers,
  sentBodyOf,
  type BodySelection,
  type SentBody,
} from '../http/request-parts.js';
import {
  comparableUpload,
  FileUnreadableError,
  uploadPartsOf,
  type ParsedRequest,
} from '../http/upload-parts.js';
import type { Exchange } from './exchange.js';

interface Known {
  readonly kind: 'known';
  readonly fingerprint: string;
}

/** `later`: an upload that nobody has parsed yet. It can be told when its handler is about to run. */
export type Fingerprint = Known | { readonly kind: 'later' };

/** @throws IdempotencyException `fingerprint-unavailable` when the body cannot be compared */
export async function fingerprintFor(exchange: Exchange): Promise<Fingerprint> {
  const { context } = exchange;
  const { fingerprint } = exchange.plan.options;
  if (fingerprint === false) return known(NO_FINGERPRINT);
  return comparably(exchange, async () => {
    if (typeof fingerprint === 'function') return known(fingerprintOf(['own', await fingerprint(context)]));
    const sent = sentBodyOf(exchange.request.rawRequest);
    const comparable = comparableBody(exchange.request.body, sent);
    switch (comparable.kind) {
      case 'members':
        return comparedBy(exchange, selected(comparable.body, fingerprint));
      case 'bytes':
        // Hashed first: written into JSON they would be there twice more.
        return comparedBy(exchange, apart('bytes', await hashOfBytes(comparable.bytes)));
      case 'digest':
        return comparedBy(exchange, apart('digest', comparable.digest));
      case 'upload':
        return isParsed(exchange) ? uploadFingerprint(exchange) : { kind: 'later' };
      case 'unavailable':
        throw unread(exchange, sent);
    }
  });
}

/**
 * The fingerprint of an upload from the parts that are known now.
 *
 * @throws IdempotencyException `fingerprint-unavailable` when a file cannot be read any more
 */
export async function uploadFingerprint(exchange: Exchange): Promise<Known> {
  const { runtime, operation, plan } = exchange;
  const parts = uploadPartsOf(requestOf(exchange));
  const wentBy = parts?.files.some(({ content }) => content === undefined) ?? true;
  if (wentBy || !isReadToItsEnd(exchange)) {
    runtime.uploads.warnOfStream(plan, operation, 'its files are read where they cannot be seen');
  }
  const selection = plan.options.fingerprint as BodySelection | undefined;
  return comparably(exchange, async () => {
    const body = await comparableUpload(parts ?? { fields: {}, files: [] }, selection);
    return comparedBy(exchange, apart('upload', body));
  });
}

function known(fingerprint: string): Known {
  return { kind: 'known', fingerprint };
}

/** What cannot be compared is the client's to mend. */
async function comparably<T>(exchange: Exchange, compare: () => Promise<T>): Promise<T> {
  const { runtime, operation } = exchange;
  try {
    return await compare();
  } catch (error) {
    if (error instanceof TooDeepError) {
      throw runtime.problems.fingerprintUnavailable(operation, `its body is ${error.message}`);
    }
    if (!(error instanceof FileUnreadableError)) throw error;
    runtime.uploads.logUnreadable(operation, error.cause);
    throw runtime.problems.fingerprintUnavailable(operation, error.message);
  }
}

function comparedBy({ request }: Exchange, body: unknown): Known {
  const { path, query } = partsOfUrl(request.url);
  // Parameters in the host name ask for something else, as those in the path do.
  const hosts = request.hosts === undefined ? [] : [request.hosts];
  return known(fingerprintOf([request.method, path, query, body, ...hosts]));
}

function selected(body: unknown, selection: BodySelection | undefined): unknown {
  return selection === undefined ? body : selectMembers(body, selection);
}

/** What no JSON body can be: canonical JSON writes a set in a form that is no JSON text. */
function apart(kind: 'bytes' | 'digest' | 'upload', value: unknown): ReadonlySet<unknown> {
  return new Set([kind, value]);
}

function unread({ runtime, operation }: Exchange, { contentType = 'unknown type' }: SentBody): Error {
  const reason = `its body (${contentType.slice(0, 80)}) has not been read yet`;
  return runtime.problems.fingerprintUnavailable(operation, reason);
}

/** The request as it is now: parsers put their parts on it one after the other. */
function requestOf({ context }: Exchange): ParsedRequest {
  return context.switchToHttp().getRequest<ParsedRequest>();
}

/** Parsed in front of us, by a middleware or a hook. A parser inside of us would still have it all to read. */
function isParsed(exchange: Exchange): boolean {
  const request = requestOf(exchange);
  // Platforms that hand over the bytes at once leave it to a parser inside of us to take them apart.
  if (request.body instanceof Uint8Array || !isReadToItsEnd(exchange)) return false;
  const { fields = {}, files = [] } = uploadPartsOf(request) ?? {};
  return files.length > 0 || Object.keys(fields).length > 0;
}

function isReadToItsEnd({ request: { rawRequest } }: Exchange): boolean {
  const { readableEnded, complete, readableDidRead, readableLength } = rawRequest;
  return readableEnded || (complete && readableDidRead && readableLength === 0);
}
