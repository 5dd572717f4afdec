import { RecordUnreadableError } from '../core/errors.js';
import type { StoredResult } from '../core/result.js';

export type HeaderValue = number | string | readonly string[];
export type HeaderList = readonly (readonly [name: string, value: HeaderValue])[];

/** What is named by the handler, so that an answer that was not kept can be found: `op.setResource('order', id)`. */
export interface Resource {
  readonly type: string;
  readonly id: string;
}

/** The response as it went out: what a replay sends again. */
export interface RecordedResponse {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Uint8Array;
  /** `true`: sent in chunks, without a Content-Length. */
  readonly chunked: boolean;
  readonly resource?: Resource | undefined;
}

export function responseToResult({ body, ...meta }: RecordedResponse): StoredResult {
  return { kind: 'response', meta, body };
}

/** @throws RecordUnreadableError when the head is not that of a recorded response */
export function responseFromResult(result: StoredResult): RecordedResponse {
  const { status, headers, chunked, resource } = result.meta;
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 200 || status > 599) {
    throw new RecordUnreadableError('its status is not one of HTTP');
  }
  if (!Array.isArray(headers) || !headers.every(isHeader))
    throw new RecordUnreadableError('its headers are malformed');
  return { status, headers, body: result.body, chunked: chunked === true, resource: resourceFrom(resource) };
}

/** A resource in stored JSON, or undefined. */
export function resourceFrom(value: unknown): Resource | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, id } = value as Record<string, unknown>;
  return typeof type === 'string' && typeof id === 'string' ? { type, id } : undefined;
}

function isHeader(header: unknown): header is readonly [string, HeaderValue] {
  if (!Array.isArray(header) || header.length !== 2 || typeof header[0] !== 'string') return false;
  const value: unknown = header[1];
  return (
    typeof value === 'string' ||
    typeof value === 'number' ||
    (Array.isArray(value) && value.every((item) => typeof item === 'string'))
  );
}
