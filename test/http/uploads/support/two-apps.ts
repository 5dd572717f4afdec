import { memoryStorage } from 'nestjs-idempotent';
import { send, type Received as Answer } from '../../support/requests.js';
import { form, type FilePart, type Part } from './multipart.js';
import type { Received } from './received.js';
import { startUploads, type Parser, type UploadApp } from './upload-app.js';

export interface TwoApps {
  /** Sends it with the key `k`, each time to the other app. */
  readonly post: (parts: readonly Part[], headers?: Record<string, string>) => Promise<Answer>;
  /** What the handlers of both have found, run by run. */
  readonly seen: readonly Received[];
  readonly urls: readonly { readonly url: string }[];
}

/** Two apps over one storage, whose handler makes another file with each run. */
export async function twoApps(parser: Parser, set: UploadApp = {}): Promise<TwoApps> {
  const seen: Received[] = [];
  const { handler = () => ({ id: `file-${seen.length}` }), module = {} } = set;
  const storage = module.storage ?? memoryStorage();
  const both: UploadApp = {
    ...set,
    handler: (upload, op) => {
      seen.push(upload);
      return handler(upload, op);
    },
    module: { ...module, storage },
  };
  const urls = [await startUploads(parser, both), await startUploads(parser, both)];
  let turn = 0;
  const post: TwoApps['post'] = (parts, headers = {}) => {
    const { body, headers: type } = form(parts);
    return send(urls[(turn += 1) % 2] ?? { url: '' }, '/files', {
      key: 'k',
      body,
      headers: { ...type, ...headers },
    });
  };
  return { post, seen, urls };
}

export const file = (overrides: Partial<FilePart> = {}): FilePart => ({ content: 'one', ...overrides });
export const title = (value: string): Part => ['title', value];
