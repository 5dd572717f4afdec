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

export class Problem extends HttpException {
  constructor(status: number, code: string, detail: string, more: Pick<ProblemBody, 'errors'> = {}) {
    const body: ProblemBody = {
      type: 'about:blank',
      title: STATUS_CODES[status] ?? '',
      status,
      detail,
      code,
      ...more,
    };
    super(body, status);
    this.message = detail; // for logs
  }
}
