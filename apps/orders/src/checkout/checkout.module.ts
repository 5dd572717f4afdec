import { Module } from '@nestjs/common';
import { CheckoutController } from './checkout.controller.js';
import { CheckoutTokens } from './checkout-tokens.js';

@Module({ controllers: [CheckoutController], providers: [CheckoutTokens], exports: [CheckoutTokens] })
export class CheckoutModule {}
