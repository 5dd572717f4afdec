import { SetMetadata } from '@nestjs/common';
import type { CustomDecorator } from '@nestjs/common';

export const IS_PUBLIC = 'orders:public';

/** Opens a route, or all routes of a controller, to those who do not say who they are. */
export const Public = (): CustomDecorator => SetMetadata(IS_PUBLIC, true);
