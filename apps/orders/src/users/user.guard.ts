import { Injectable } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { Problem } from '../../../shared/src/problems/problem.js';
import { IS_PUBLIC } from './public.decorator.js';
import type { RequestWithUser } from './user.js';

export const USER_HEADER = 'x-user-id';

/**
 * Stands in for authentication: believes the header. It is a guard because guards run before interceptors, and the
 * idempotency interceptor reads `request.user.id` to keep the keys of different users apart.
 */
@Injectable()
export class UserGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  canActivate(context: ExecutionContext): boolean {
    if (this.reflector.getAllAndOverride<boolean>(IS_PUBLIC, [context.getHandler(), context.getClass()]))
      return true;
    const request = context.switchToHttp().getRequest<RequestWithUser>();
    const id = request.headers[USER_HEADER];
    // Visible ASCII without commas: HTTP joins a header that was sent twice with ', ', and that is nobody's name.
    if (typeof id !== 'string' || !/^[!-+\x2d-~]{1,128}$/.test(id)) {
      throw new Problem(
        401,
        'user-missing',
        `Say who you are: send an ${USER_HEADER} header of 1 to 128 visible ASCII characters without commas. It stands in for a login.`,
      );
    }
    request.user = { id };
    return true;
  }
}
