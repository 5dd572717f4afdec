import { hashOfBytes, hashOfFile } from './content-hash.js';
import { selectMembers, type BodySelection } from './request-parts.js';

/** Where parsers of multipart bodies leave what they found, on Express and on Fastify. */
export interface ParsedRequest {
  readonly body?: unknown;
  readonly file?: unknown;
  readonly files?: unknown;
  readonly savedRequestFiles?: unknown;
}

/** One uploaded file, whoever has parsed it. */
export interface UploadedFile {
  /** Name of the form field. */
  readonly field: string;
  /** Name and media type that the client gave; undefined where the parser keeps neither. */
  readonly name: string | undefined;
  readonly type: string | undefined;
  /** In bytes, where it is known without reading. */
  readonly size: number | undefined;
  /** Where its bytes are; undefined when they went by: streamed to some other place, or still on their way. */
  readonly content: { readonly bytes: Uint8Array } | { readonly path: string } | undefined;
}

export interface UploadParts {
  readonly fields: object;
  readonly files: readonly UploadedFile[];
}

/** A file that a parser has stored cannot be read any more. */
export class FileUnreadableError extends Error {}

/**
 * Fields and files of a multipart request, as far as somebody has parsed them.
 *
 * @returns undefined when there is no trace of a parser
 */
export function uploadPartsOf(request: ParsedRequest): UploadParts | undefined {
  const { body, file, files, savedRequestFiles: saved } = request;
  if (body instanceof Uint8Array) {
    // Kept whole, boundaries and all.
    return { fields: {}, files: [{ ...NAMELESS, field: '', content: { bytes: body } }] };
  }
  const stored = [file, ...listOf(files), ...listOf(saved)].filter(isObject).map(storedFile);
  if (isObject(body)) {
    const { fields, files: attached } = partsOfBody(body);
    // @fastify/multipart can save what it has attached to the body: each file is there twice then, and is compared once.
    const isThere = attached.length > 0 && attached.every(({ content }) => content !== undefined);
    return { fields, files: isThere || stored.length === 0 ? attached : stored };
  }
  const form = listOf(saved).find(isObject)?.['fields'];
  if (isObject(form)) return { fields: partsOfBody(form).fields, files: stored };
  return stored.length > 0 ? { fields: {}, files: stored } : undefined;
}

/**
 * What is compared of an upload: its fields, and name, type and SHA-256 of its files, those of one field in their order.
 * A file whose bytes went by is compared by name, type and size.
 *
 * @param selection says which fields are compared; files are in any case, unless their field is excluded
 * @throws FileUnreadableError
 */
export async function comparableUpload(parts: UploadParts, selection?: BodySelection): Promise<object> {
  const files = new Map<string, object[]>();
  // One after the other: a request must not open as many files as it likes.
  for (const file of parts.files) {
    if (isExcluded(file.field, selection)) continue;
    files.set(file.field, [...(files.get(file.field) ?? []), await comparableFile(file)]);
  }
  const fields = selection === undefined ? parts.fields : selectMembers(parts.fields, selection);
  return { fields, files: [...files].sort(([a], [b]) => (a < b ? -1 : 1)) };
}

async function comparableFile({ name, type, size, content }: UploadedFile): Promise<object> {
  if (content === undefined) return { name, type, size };
  if ('bytes' in content) return { name, type, sha256: await hashOfBytes(content.bytes) };
  try {
    return { name, type, sha256: await hashOfFile(content.path) };
  } catch (cause) {
    throw new FileUnreadableError('a file of its multipart body could not be read on this side', { cause });
  }
}

function isExcluded(field: string, selection: BodySelection | undefined): boolean {
  return selection !== undefined && 'exclude' in selection && selection.exclude.includes(field);
}

type Members = Readonly<Record<string, unknown>>;

const NAMELESS = { name: undefined, type: undefined, size: undefined };

/** The body that @fastify/multipart attaches holds files too: as parts (`true`) or as bare bytes (`'keyValues'`). */
function partsOfBody(body: Members): UploadParts {
  const fields: [string, unknown][] = [];
  const files: UploadedFile[] = [];
  for (const [field, value] of Object.entries(body)) {
    const kept = (Array.isArray(value) ? (value as unknown[]) : [value]).flatMap((item) => {
      if (item instanceof Uint8Array) files.push({ ...NAMELESS, field, content: { bytes: item } });
      else if (!isPartOf(body, item)) return [item];
      else if (item['type'] === 'file') files.push(storedFile(item));
      else return [item['value']];
      return [];
    });
    if (kept.length > 0) fields.push([field, Array.isArray(value) ? kept : kept[0]]);
  }
  // Own members whatever their names are: `__proto__` too.
  return { fields: Object.fromEntries(fields), files };
}

/** Each part of @fastify/multipart knows the whole form. No JSON that a client sends can do that. */
function isPartOf(form: Members, item: unknown): item is Members {
  return isObject(item) && item['fields'] === form;
}

/** A file as multer, Nest's interceptors or @fastify/multipart describe it. */
function storedFile(file: Members): UploadedFile {
  const size = file['size'];
  return {
    field: textOf(file['fieldname']) ?? '',
    // Of files on a disk `filename` is the name that they got there.
    name: textOf(file['originalname']) ?? textOf(file['filename']),
    type: textOf(file['mimetype']),
    size: typeof size === 'number' ? size : undefined,
    content: contentOf(file),
  };
}

function contentOf(file: Members): UploadedFile['content'] {
  const bytes = file['buffer'] ?? file['_buf'];
  if (bytes instanceof Uint8Array) return { bytes };
  // Engines that send files elsewhere may call a URL `path`; those that write to a disk say where to.
  const path = textOf(file['destination']) === undefined ? file['filepath'] : file['path'];
  return typeof path === 'string' ? { path } : undefined;
}

/** Lists, and lists by field. */
function listOf(files: unknown): readonly unknown[] {
  if (Array.isArray(files)) return files;
  return isObject(files) ? Object.values(files).flat() : [];
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
