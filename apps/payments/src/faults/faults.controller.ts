import { Body, Controller, Delete, HttpCode, Put } from '@nestjs/common';
import { readFault } from './read-fault.js';
import { Faults } from './faults.js';

/** For tests and for the curious: breaks this service on command. */
@Controller('faults')
export class FaultsController {
  constructor(private readonly faults: Faults) {}

  @Put()
  @HttpCode(204)
  set(@Body() body: unknown): void {
    this.faults.set(readFault(body));
  }

  @Delete()
  @HttpCode(204)
  clear(): void {
    this.faults.clear();
  }
}
