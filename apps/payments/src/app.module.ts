import { Module } from '@nestjs/common';
import type { DynamicModule } from '@nestjs/common';
import { ChargesController } from './charges/charges.controller.js';
import { ChargesService } from './charges/charges.service.js';
import { RefundsService } from './charges/refunds.service.js';
import { Faults } from './faults/faults.js';
import type { Fault } from './faults/faults.js';
import { FaultsController } from './faults/faults.controller.js';
import { Books } from './ledger/books.js';
import type { Ledger } from './ledger/ledger.js';
import { OncePerKey } from './ledger/once-per-key.js';

@Module({})
export class AppModule {
  static register(ledger: Ledger, fault?: Fault): DynamicModule {
    return {
      module: AppModule,
      controllers: [ChargesController, FaultsController],
      providers: [
        { provide: Books, useFactory: () => new Books(ledger) },
        { provide: Faults, useFactory: () => new Faults(fault) },
        OncePerKey,
        ChargesService,
        RefundsService,
      ],
    };
  }
}
