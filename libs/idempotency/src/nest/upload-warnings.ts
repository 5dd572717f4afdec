import type { Logger } from '@nestjs/common';

/** What is said about uploads, each thing once per operation. */
export class UploadWarnings {
  private readonly told = new WeakSet<object>();

  constructor(private readonly logger: Logger) {}

  /**
   * Bytes of files go by unseen, so another file under the same key would get the answer of the first.
   *
   * @param plan of the operation it is about
   * @param name of that operation, for the operator
   * @param because what is known of the reason
   */
  warnOfStream(plan: object, name: string, because: string): void {
    if (this.told.has(plan)) return;
    this.told.add(plan);
    this.logger.warn(
      `${name}: ${because}, so without a Content-Digest header the bytes of uploaded files are not compared: ` +
        'another file with the same key may get the recorded answer, since at most its name, type and size count. ' +
        'Let clients send Content-Digest (RFC 9530), or keep files in memory or on a disk until the handler runs, ' +
        'where `request.file`, `request.files` or `request.body` tell of them. This is said once.',
    );
  }

  /** Without the name of the file: it is the client's. */
  logUnreadable(name: string, cause: unknown): void {
    const { code = 'no code' } = (cause ?? {}) as { readonly code?: string };
    this.logger.error(
      `${name} did not run: a file of its upload could not be read for the comparison (${code}). ` +
        'Interceptors and pipes must leave files where the parser has put them.',
    );
  }
}
