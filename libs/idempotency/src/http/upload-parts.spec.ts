import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { comparableUpload, FileUnreadableError, uploadPartsOf, type ParsedRequest } from './upload-parts.js';

const bytes = Buffer.from('one');
const sha256Of = (content: Uint8Array) => createHash('sha256').update(content).digest('base64url');
const sha256 = sha256Of(bytes);
const empty = sha256Of(Buffer.alloc(0));

/** As multer describes a file. */
const stored = {
  fieldname: 'file',
  originalname: 'a.txt',
  encoding: '7bit',
  mimetype: 'text/plain',
  size: 3,
};
const described = { field: 'file', name: 'a.txt', type: 'text/plain', size: 3 };

/** As @fastify/multipart attaches a form to the body: each part knows the whole. */
function attached(members: Record<string, object | object[]>): Record<string, unknown> {
  for (const part of Object.values(members).flat()) Object.assign(part, { fields: members });
  return members;
}

describe('uploadPartsOf', () => {
  it('finds nothing where nobody has parsed anything', () => {
    expect(uploadPartsOf({})).toBeUndefined();
    expect(uploadPartsOf({ body: null, file: undefined, files: [], savedRequestFiles: [] })).toBeUndefined();
  });

  it('does not take methods of the request for files', () => {
    expect(uploadPartsOf({ file: () => {}, files: () => {} })).toBeUndefined();
  });

  it.each<[string, ParsedRequest]>([
    ['as one', { file: { ...stored, buffer: bytes } }],
    ['in a list', { files: [{ ...stored, buffer: bytes }] }],
    ['in lists by field', { files: { file: [{ ...stored, buffer: bytes }] } }],
    ['saved', { savedRequestFiles: [{ ...stored, buffer: bytes }] }],
  ])('finds files %s', (_how, request) => {
    const parts = { fields: {}, files: [{ ...described, content: { bytes } }] };
    expect(uploadPartsOf(request)).toEqual(parts);
    expect(uploadPartsOf({ ...request, body: { a: '1' } })).toEqual({ ...parts, fields: { a: '1' } });
  });

  it('finds files on a disk, under the name that the client gave', () => {
    const onDisk = { ...stored, destination: '/tmp', filename: 'f00', path: '/tmp/f00' };
    const saved = { ...stored, originalname: undefined, filename: 'a.txt', filepath: '/tmp/f00' };
    for (const file of [onDisk, saved]) {
      expect(uploadPartsOf({ file })?.files).toEqual([{ ...described, content: { path: '/tmp/f00' } }]);
    }
  });

  it('does not take the address of a file that went elsewhere for a path', () => {
    const file = { ...stored, path: 'https://bucket.example.com/f00' };
    expect(uploadPartsOf({ file })?.files).toEqual([{ ...described, content: undefined }]);
  });

  it('finds the parts that are attached to a body', () => {
    const body = attached({
      title: { type: 'field', value: 'a' },
      tags: [
        { type: 'field', value: 'b' },
        { type: 'field', value: 'c' },
      ],
      file: { ...stored, type: 'file', originalname: undefined, filename: 'a.txt', _buf: bytes },
    });
    expect(uploadPartsOf({ body })).toEqual({
      fields: { title: 'a', tags: ['b', 'c'] },
      files: [{ ...described, content: { bytes } }],
    });
  });

  it('takes a field for a field, also when its JSON looks like a part', () => {
    const title = { type: 'file', fieldname: 'file', filename: 'a.txt', fields: { title: {} } };
    expect(uploadPartsOf({ body: { title } })).toEqual({ fields: { title }, files: [] });
  });

  it('finds bare bytes among the fields of a body', () => {
    const parts = uploadPartsOf({ body: { title: 'a', file: bytes, files: [bytes, 'b'] } });
    expect(parts?.fields).toEqual({ title: 'a', files: ['b'] });
    expect(parts?.files.map(({ field, content }) => ({ field, content }))).toEqual([
      { field: 'file', content: { bytes } },
      { field: 'files', content: { bytes } },
    ]);
  });

  it('takes a body that was kept whole for one file', () => {
    expect(uploadPartsOf({ body: bytes })?.files).toEqual([
      { field: '', name: undefined, type: undefined, size: undefined, content: { bytes } },
    ]);
  });

  it('keeps fields of any name', () => {
    const body = JSON.parse('{"__proto__":"a","constructor":"b"}') as object;
    expect(Object.entries(uploadPartsOf({ body })?.fields ?? {})).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
  });
});

describe('comparableUpload', () => {
  const one = { ...described, content: { bytes } };
  const upload = { fields: { title: 'a', note: 'b' }, files: [one] };

  it('holds fields, and name, type and hash of each file', async () => {
    expect(await comparableUpload(upload)).toEqual({
      fields: { title: 'a', note: 'b' },
      files: [['file', [{ name: 'a.txt', type: 'text/plain', sha256 }]]],
    });
  });

  it('groups files by field, and keeps the order of each', async () => {
    const two = { ...one, name: 'b.txt', content: { bytes: Buffer.alloc(0) } };
    const other = { ...one, field: 'a' };
    const grouped = {
      files: [
        ['a', [{ sha256 }]],
        ['file', [{ sha256 }, { sha256: empty }]],
      ],
    };
    expect(await comparableUpload({ fields: {}, files: [one, other, two] })).toMatchObject(grouped);
    expect(await comparableUpload({ fields: {}, files: [other, one, two] })).toMatchObject(grouped);
  });

  it('has the size of a file whose bytes went by', async () => {
    const files = [{ ...one, content: undefined }];
    expect(await comparableUpload({ fields: {}, files })).toEqual({
      fields: {},
      files: [['file', [{ name: 'a.txt', type: 'text/plain', size: 3 }]]],
    });
  });

  it('selects fields, and leaves out files of excluded fields alone', async () => {
    const files = [['file', [expect.objectContaining({ sha256 })]]];
    expect(await comparableUpload(upload, { include: ['title'] })).toEqual({
      fields: [['title', 'a']],
      files,
    });
    expect(await comparableUpload(upload, { exclude: ['note'] })).toEqual({ fields: { title: 'a' }, files });
    expect(await comparableUpload(upload, { exclude: ['file'] })).toEqual({
      fields: upload.fields,
      files: [],
    });
  });

  it('rejects when a file cannot be read, with the reason', async () => {
    const files = [{ ...one, content: { path: '/nowhere/at/all' } }];
    const failed = comparableUpload({ fields: {}, files });
    await expect(failed).rejects.toBeInstanceOf(FileUnreadableError);
    await expect(failed).rejects.toMatchObject({ cause: { code: 'ENOENT' } });
  });
});
