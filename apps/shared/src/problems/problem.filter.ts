import { Catch } from '@nestjs/common';
import type { ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { Problem } from './problem.js';

/** Only sets the headers; Nest sends the body as it sends every other. */
@Catch(Problem)
export class ProblemFilter extends BaseExceptionFilter {
  override catch(problem: Problem, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<{ header(name: string, value: string): unknown }>();
    for (const [name, value] of Object.entries(problem.headers)) reply.header(name, value);
    super.catch(problem, host);
  }
}
