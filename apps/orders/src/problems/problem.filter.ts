import { Catch } from '@nestjs/common';
import type { ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { Problem } from './problem.js';

/** Only names the media type; Nest sends the body as it sends every other. */
@Catch(Problem)
export class ProblemFilter extends BaseExceptionFilter {
  override catch(problem: Problem, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<{ header(name: string, value: string): unknown }>();
    reply.header('Content-Type', 'application/problem+json; charset=utf-8');
    super.catch(problem, host);
  }
}
