import { HttpException } from '@nestjs/common';
import { STATUS_CODES } from 'node:http';

/** An error answer in the shape of RFC 9457. Clients branch on `code`; `detail` tells a person what to do. */
export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  /** One sentence for each field that is wrong. */
  readonly errors?: readonly string[];
}

export interface ProblemExtra extends Pick<ProblemBody, 'errors'> {
  /** Whole seconds after which it is worth asking again: the header `Retry-After`. */
  readonly retryAfter?: number;
  readonly cause?: unknown;
}

export class Problem extends HttpException {
  readonly code: string;
  /** Headers that belong to the answer; `ProblemFilter` sends them. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, detail: string, extra: ProblemExtra = {}) {
    const { errors, retryAfter, cause } = extra;
    const body: ProblemBody = {
      type: 'about:blank',
      title: STATUS_CODES[status] ?? '',
      status,
      detail,
      code,
      ...(errors && { errors }),
    };
    super(body, status, { cause });
    this.message = detail; // for logs
    this.code = code;
    this.headers = {
      'Content-Type': 'application/problem+json; charset=utf-8',
      ...(retryAfter !== undefined && { 'Retry-After': String(retryAfter) }),
    };
  }
}
