import { createParamDecorator } from '@nestjs/common';
import type { ExecutionContext } from '@nestjs/common';
import type { RequestWithUser, User } from './user.js';

/** The user of a route that is not `@Public()`. */
export const CurrentUser = createParamDecorator((_data: unknown, context: ExecutionContext): User => {
  const { user } = context.switchToHttp().getRequest<RequestWithUser>();
  if (!user) throw new Error('@CurrentUser() stands on a @Public() route, which has no user.');
  return user;
});
