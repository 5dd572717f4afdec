import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { UserGuard } from './user.guard.js';

@Module({ providers: [{ provide: APP_GUARD, useClass: UserGuard }] })
export class UsersModule {}
