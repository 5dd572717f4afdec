import type { Platform } from '../../support/apps.js';

/** How an app is set up that the kinds are tried on: a column of docs/responses.md. */
export interface Setting {
  readonly title: string;
  readonly platform: Platform;
  readonly compressed: boolean;
  /** The client speaks HTTP/2, without TLS. Express cannot. */
  readonly http2: boolean;
}

export const settings: readonly Setting[] = [
  { title: 'Express', platform: 'express', compressed: false, http2: false },
  { title: 'Express, compressed', platform: 'express', compressed: true, http2: false },
  { title: 'Fastify', platform: 'fastify', compressed: false, http2: false },
  { title: 'Fastify, compressed', platform: 'fastify', compressed: true, http2: false },
  { title: 'Fastify, HTTP/2', platform: 'fastify', compressed: false, http2: true },
];
