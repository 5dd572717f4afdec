import type { ExecutionContext } from '@nestjs/common';

interface ComparedRequest {
  readonly url: string;
  readonly headers: { readonly 'if-match'?: string };
  readonly body?: unknown;
}

/**
 * What makes two changes of an order the same: besides what is compared by default, the version they are meant for. Else
 * a client that was told 412, reads the new version and tries again with its old key would be told 412 for ever.
 */
export function withVersion(context: ExecutionContext): unknown {
  const { url, headers, body } = context.switchToHttp().getRequest<ComparedRequest>();
  return { url, ifMatch: headers['if-match'] ?? null, body: body ?? null };
}
