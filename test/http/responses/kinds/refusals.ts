import {
  BadRequestException,
  Body,
  Catch,
  ConflictException,
  Controller,
  ParseIntPipe,
  Post,
  UseFilters,
  UseGuards,
  type ArgumentsHost,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Once } from '../handler-runs.js';
import type { Group } from '../kind.js';
import { leavesTheKeyFree, runsAgain } from '../retries.js';

class OutOfStock extends Error {
  constructor(readonly sku: string) {
    super(`${sku} is out of stock`);
  }
}

/** Answers as an app's own filter does: another body, another status, a header. */
class Answering implements ExceptionFilter {
  constructor(
    private readonly status: number,
    private readonly host: HttpAdapterHost,
  ) {}

  async catch(error: Error, host: ArgumentsHost): Promise<void> {
    // Filters may take their time.
    await new Promise((resolve) => setImmediate(resolve));
    const { httpAdapter } = this.host;
    const response = host.switchToHttp().getResponse<unknown>();
    httpAdapter.setHeader(response, 'X-Filtered', error.constructor.name);
    httpAdapter.reply(response, { error: error.message }, this.status);
  }
}

@Catch(OutOfStock)
class ConflictFilter extends Answering {
  constructor(host: HttpAdapterHost) {
    super(409, host);
  }
}

@Catch(ConflictException)
class UnavailableFilter extends Answering {
  constructor(host: HttpAdapterHost) {
    super(503, host);
  }
}

@Catch(ConflictException)
class ForgivingFilter extends Answering {
  constructor(host: HttpAdapterHost) {
    super(200, host);
  }
}

class PasswordGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    return (
      context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-password'] ===
      'open'
    );
  }
}

@Controller('errors')
class RefusalsController {
  @Post('filtered')
  @UseFilters(ConflictFilter)
  @Once()
  filtered() {
    throw new OutOfStock('A-123');
  }

  @Post('filtered-to-503')
  @UseFilters(UnavailableFilter)
  @Once()
  filteredTo503() {
    throw new ConflictException('kept without the filter');
  }

  @Post('filtered-to-200')
  @UseFilters(ForgivingFilter)
  @Once()
  filteredTo200() {
    throw new ConflictException('kept without the filter');
  }

  @Post('piped')
  @Once()
  piped(@Body('quantity', ParseIntPipe) quantity: number) {
    return { quantity };
  }

  @Post('guarded')
  @UseGuards(PasswordGuard)
  @Once()
  guarded() {
    return { welcome: true };
  }

  @Post('thrown-by-parameter')
  @Once()
  thrownByParameter(@Body('sku', { transform: refuseUnknown }) sku: string) {
    return { sku };
  }
}

function refuseUnknown(value: unknown): unknown {
  if (value === 'A-123') return value;
  throw new BadRequestException(`${String(value)} is not known`);
}

export const refusals: Group = {
  title: 'Filters, pipes and guards',
  controllers: [RefusalsController],
  kinds: [
    {
      name: 'an Error that a filter answers with 409, a header and a body of its own',
      path: '/errors/filtered',
      status: 409,
      answers: '{"error":"A-123 is out of stock"}',
      has: { 'x-filtered': 'OutOfStock' },
    },
    {
      name: 'a 409 that a filter answers with 503',
      path: '/errors/filtered-to-503',
      status: 503,
      retry: runsAgain,
    },
    {
      name: 'a 409 that a filter answers with 200',
      path: '/errors/filtered-to-200',
      status: 200,
      retry: runsAgain,
    },
    {
      name: 'an error of a pipe',
      path: '/errors/piped',
      body: { quantity: 'many' },
      status: 400,
      runs: 0,
      retry: leavesTheKeyFree({ body: { quantity: '2' } }),
    },
    {
      name: "an error of a parameter's own pipe",
      path: '/errors/thrown-by-parameter',
      body: { sku: 'B' },
      status: 400,
      runs: 0,
      retry: leavesTheKeyFree({ body: { sku: 'A-123' } }),
    },
    {
      name: 'the refusal of a guard',
      path: '/errors/guarded',
      status: 403,
      runs: 0,
      retry: leavesTheKeyFree({ headers: { 'x-password': 'open' } }),
    },
  ],
};
