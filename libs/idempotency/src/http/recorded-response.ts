import { RecordUnreadableError } from '../core/errors.js';
import type { StoredResult } from '../core/result.js';
import { checkHeaders } from './header-list.js';

export type HeaderValue = number | string | readonly string[];
export type HeaderList = readonly (readonly [name: string, value: HeaderValue])[];

/** What is named by the handler, so that an answer that was not kept can be found: `op.setResource('order', id)`. */
export interface Resource {
  readonly type: string;
  readonly id: string;
}

/** How a body was handed over: not at all, at once, or bit by bit. Content-Length and chunked encoding follow from it. */
export type Framing = 'none' | 'whole' | 'pieces';

/** The response as it went out: what a replay sends again. */
export interface RecordedResponse {
  readonly status: number;
  /** A reason phrase of its own; absent when it is the one that everybody sends with this status. */
  readonly reason?: string | undefined;
  readonly headers: HeaderList;
  /** Names of headers that an exchange begins with, and that the answer did not have any more. */
  readonly removed?: readonly string[];
  readonly body: Uint8Array;
  /** What goes out after the body. */
  readonly trailers?: HeaderList | undefined;
  readonly framing: Framing;
  /** It was written past the hooks of the framework (`reply.raw`), and so is its replay. */
  readonly past?: boolean | undefined;
  readonly resource?: Resource | undefined;
}

export function responseToResult({ body, ...meta }: RecordedResponse): StoredResult {
  return { kind: 'response', meta, body };
}

/** @throws RecordUnreadableError when the head is not that of a recorded response */
export function responseFromResult(result: StoredResult): RecordedResponse {
  const { status, reason, headers, removed = [], trailers = [], framing, past, resource } = result.meta;
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 200 || status > 999) {
    throw new RecordUnreadableError('its status is not one of HTTP');
  }
  if (reason !== undefined && typeof reason !== 'string')
    throw new RecordUnreadableError('its reason phrase is malformed');
  if (!isHeaderList(headers) || !isHeaderList(trailers))
    throw new RecordUnreadableError('its headers are malformed');
  try {
    checkHeaders([...headers, ...trailers]);
  } catch (cause) {
    throw new RecordUnreadableError('its headers cannot be sent', { cause });
  }
  if (!isListOfStrings(removed)) throw new RecordUnreadableError('its removed headers are malformed');
  if (framing !== 'none' && framing !== 'whole' && framing !== 'pieces')
    throw new RecordUnreadableError('its framing is unknown');
  return {
    status,
    reason,
    headers,
    removed,
    body: result.body,
    trailers,
    framing,
    past: past === true,
    resource: resourceFrom(resource),
  };
}

/** A resource in stored JSON, or undefined. */
export function resourceFrom(value: unknown): Resource | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, id } = value as Record<string, unknown>;
  return typeof type === 'string' && typeof id === 'string' ? { type, id } : undefined;
}

function isHeaderList(value: unknown): value is HeaderList {
  return Array.isArray(value) && value.every(isHeader);
}

function isHeader(header: unknown): header is readonly [string, HeaderValue] {
  if (!Array.isArray(header) || header.length !== 2 || typeof header[0] !== 'string') return false;
  const value: unknown = header[1];
  return typeof value === 'string' || typeof value === 'number' || isListOfStrings(value);
}

function isListOfStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
