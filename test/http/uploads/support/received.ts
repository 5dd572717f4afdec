import { readFile } from 'node:fs/promises';

/** What a handler finds of an upload, whoever has parsed it. */
export interface Received {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly files: readonly string[];
}

/** Files as multer, Nest's interceptors and @fastify/multipart describe them, and fields as the latter does. */
interface AnyPart {
  readonly fieldname?: string;
  readonly type?: string;
  readonly value?: unknown;
  readonly buffer?: Buffer;
  readonly _buf?: Buffer | null;
  readonly path?: string;
  readonly filepath?: string;
}

interface AnyRequest {
  readonly body?: Record<string, unknown>;
  readonly file?: unknown;
  readonly files?: unknown;
  readonly savedRequestFiles?: readonly { readonly fields: Record<string, unknown> }[];
}

/** Reads every file to its end: whoever has looked at them before must have left them readable. */
export async function received(request: AnyRequest): Promise<Received> {
  const { file, files, savedRequestFiles: saved } = request;
  const body = request.body ?? saved?.[0]?.fields ?? {};
  const fields: Record<string, unknown> = {};
  const found = [file, files, saved].flatMap(partsIn);
  for (const [name, value] of Object.entries(body)) {
    const all = [value].flat();
    const parts = all.filter((item) => item instanceof Buffer || (item as AnyPart)._buf);
    const values = all.filter((item) => typeof item === 'string' || (item as AnyPart).type === 'field');
    found.push(...parts.map((item) => (item instanceof Buffer ? { buffer: item } : (item as AnyPart))));
    if (values.length > 0) fields[name] = values.map((item) => (item as AnyPart).value ?? item).join();
    else if (parts.length === 0 && (value as AnyPart).type !== 'file') fields[name] = value;
  }
  return { fields, files: await Promise.all(found.map(text)) };
}

function partsIn(value: unknown): AnyPart[] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value as AnyPart[];
  return 'fieldname' in value ? [value as AnyPart] : (Object.values(value).flat() as AnyPart[]);
}

async function text(part: AnyPart): Promise<string> {
  const path = part.path ?? part.filepath;
  const bytes = part.buffer ?? part._buf ?? (path === undefined ? '?' : await readFile(path));
  return bytes.toString();
}
