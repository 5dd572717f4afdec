import { composedCodec, type Codec } from '../core/codec.js';
import { EncryptedCodec } from '../core/encrypted-codec.js';
import { InvalidOptionsError } from '../core/errors.js';
import { GzipCodec } from '../core/gzip-codec.js';

const made = new WeakMap<object, Codec>();

/** The codec that an option means: one codec, or several as one. The same list gives the same codec. @throws InvalidOptionsError */
export function codecOf(option: unknown): Codec | undefined {
  if (option === undefined) return undefined;
  if (!Array.isArray(option)) return checked(option);
  const codecs = (option as readonly unknown[]).map(checked);
  const sealedAt = codecs.findIndex((codec) => codec instanceof EncryptedCodec);
  if (sealedAt >= 0 && codecs.slice(sealedAt).some((codec) => codec instanceof GzipCodec)) {
    throw new InvalidOptionsError(
      '`codec` compresses what is encrypted already, and that does not shrink. They are applied from left to right: write `[gzipCodec(), encryptedCodec({ keys })]`.',
    );
  }
  const codec = made.get(option) ?? composedCodec(codecs);
  if (codec !== undefined) made.set(option, codec);
  return codec;
}

/**
 * Operations of one name share their records, so what one of them writes the other has to read.
 *
 * @param codecs of the operations seen so far
 * @throws InvalidOptionsError
 */
export function checkSharedCodec(
  codecs: Map<string, Codec | undefined>,
  where: string,
  { operation, codec }: { readonly operation: string | undefined; readonly codec: Codec | undefined },
): void {
  if (operation === undefined) return;
  if (codecs.has(operation) && codecs.get(operation) !== codec) {
    throw new InvalidOptionsError(
      `${where}: another handler has the \`operation\` '${operation}' too and shares its records, and their \`codec\` is not the same, so neither could read what the other wrote. Give both the same object, or set it in the module.`,
    );
  }
  codecs.set(operation, codec);
}

function checked(given: unknown): Codec {
  const codec = given as Partial<Record<keyof Codec, unknown>> | null;
  const isCodec =
    typeof codec === 'object' &&
    codec !== null &&
    typeof codec.name === 'string' &&
    typeof codec.encode === 'function' &&
    typeof codec.decode === 'function';
  if (isCodec) return given as Codec;
  throw new InvalidOptionsError(
    '`codec` must be a codec or a list of codecs: gzipCodec(), encryptedCodec({ keys }), or an object with `name`, `encode` and `decode`. `[]` is none.',
  );
}
