import { Catch } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import type { ServerResponse } from 'node:http';

/** The service is unreachable: whoever asked gets no answer and cannot know what happened. */
export class ConnectionBreak extends Error {}

@Catch(ConnectionBreak)
export class ConnectionBreakFilter implements ExceptionFilter<ConnectionBreak> {
  catch(_error: ConnectionBreak, host: ArgumentsHost): void {
    host.switchToHttp().getResponse<ServerResponse>().destroy();
  }
}
