import type { Type } from '@nestjs/common';
import type { Platform } from '../../support/apps.js';
import type { Received, Sent } from './http-client.js';
import type { Setting } from './settings.js';

/** One kind of response: who makes it, how it is asked for, and what has to come of it. */
export interface Kind {
  /** Reads as the subject of a sentence: `an entity behind a serializer`. */
  readonly name: string;
  readonly path: string;
  /** @default 'POST' */
  readonly method?: string;
  /** Sent with the first request, and with every retry. */
  readonly headers?: Readonly<Record<string, string>>;
  /** @default `{}`, nothing for GET and HEAD */
  readonly body?: unknown;
  readonly status: number | Readonly<Record<Platform, number>>;
  /** The bytes of the answer, as text; or what they have to match. */
  readonly answers?: string | RegExp;
  /** Headers of the answer, names in lower case; `undefined`: it has none of that name. */
  readonly has?: Readonly<Record<string, string | RegExp | undefined>>;
  /** What comes after the body. @default none */
  readonly trailers?: Readonly<Record<string, string>>;
  /** Informational responses that go out before the answer. They are not part of it, so a replay has none. @default none */
  readonly informs?: readonly number[];
  /** Headers, beside those of every exchange, that belong to the first answer alone. */
  readonly leftOut?: readonly string[];
  /** Without us it fails, and with us it does not, so the first answer cannot be compared with an unprotected one. */
  readonly brokenWithoutUs?: (setting: Omit<Setting, 'title'>) => boolean;
  /** The handler has chosen the encoding, so nobody negotiates it. */
  readonly encodesItself?: boolean;
  /** What becomes of a retry. @default replayed */
  readonly retry?: Retry;
  /** How often the handler runs for the first request. @default 1 */
  readonly runs?: number;
  /** Kinds that only one platform knows. */
  readonly on?: Platform;
  /** The compression of the platform breaks it, with or without us. */
  readonly uncompressed?: true;
  /** Kinds that only one version of HTTP knows: 1.1 has connections, reason phrases and chunks, 2 has streams. */
  readonly over?: 'HTTP/1.1' | 'HTTP/2';
}

export interface Group {
  readonly title: string;
  readonly controllers: readonly Type[];
  readonly kinds: readonly Kind[];
}

/** What has to become of a retry: `run` asks and judges. */
export interface Retry {
  /** Ends the sentence that the kind begins: `is replayed`. */
  readonly does: string;
  /** The same in the table of docs/responses.md. */
  readonly word: string;
  run(trial: Trial): Promise<void>;
}

/** One kind on one app, with a key of its own. */
export interface Trial extends Omit<Setting, 'title'> {
  readonly kind: Kind;
  /** Sends the kind's request. `key: false` sends none, so that the route answers as if it were not protected. */
  send(changes?: TrialRequest): Promise<Received>;
  /** Sends it, and gives the function by which the client leaves. */
  sendAndLeave(): () => void;
  /** Resolves when the server has learned that the client of the next request is gone. */
  clientGone(): Promise<void>;
}

export interface TrialRequest extends Partial<Sent> {
  readonly key?: false;
  /** `Accept-Encoding`; none: `identity` alone is acceptable. @default 'gzip' with compression, else none */
  readonly accept?: 'gzip' | 'br' | 'none';
}

/** Whether there is such a kind in that setting. */
export function isKnown(kind: Kind, { platform, http2, compressed }: Omit<Setting, 'title'>): boolean {
  const { on, over, uncompressed } = kind;
  if (uncompressed && compressed) return false;
  return (on === undefined || on === platform) && (over === undefined || (over === 'HTTP/2') === http2);
}
