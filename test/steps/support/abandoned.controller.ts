import { Controller, Get, Headers, Post } from '@nestjs/common';
import {
  Idempotent,
  IdempotentOp,
  IdempotentOperation,
  type IdempotencyModuleOptions,
} from 'nestjs-idempotent';

/** A lease that a test can wait for. */
export const MODULE = { namespace: 'abandoned', lease: '1200ms' } satisfies IdempotencyModuleOptions;

const recover = (op: IdempotentOperation) => ({ recovered: op.finishedSteps.get('charge') });
const findNothing = () => undefined;

let halted = 0;

/** Routes whose handlers stand still after their first step when they are told to, and what each does about a crash. */
@Controller()
export class Abandoned {
  @Post('rerun')
  @Idempotent()
  rerun(@IdempotentOp() op: IdempotentOperation, @Headers('x-halt') halt?: string) {
    return work(op, halt);
  }

  @Post('recover')
  @Idempotent({ recover })
  recover(@IdempotentOp() op: IdempotentOperation, @Headers('x-halt') halt?: string) {
    return work(op, halt);
  }

  @Post('recover-nothing')
  @Idempotent({ recover: findNothing })
  recoverNothing(@IdempotentOp() op: IdempotentOperation, @Headers('x-halt') halt?: string) {
    return work(op, halt);
  }

  @Post('refuse-or-recover')
  @Idempotent({ onAbandoned: 'refuse', recover })
  refuseOrRecover(@IdempotentOp() op: IdempotentOperation, @Headers('x-halt') halt?: string) {
    return work(op, halt);
  }

  @Post('refuse/:how')
  @Idempotent({ onAbandoned: 'refuse', ttl: '3h' })
  refuse(@IdempotentOp() op: IdempotentOperation, @Headers('x-halt') halt?: string) {
    return work(op, halt);
  }

  /** How many handlers stand still. */
  @Get('halted')
  halted(): number {
    return halted;
  }
}

async function work(op: IdempotentOperation, halt: string | undefined): Promise<unknown> {
  const charge = await op.step('charge', () => ({ id: 'c-1', attempt: op.attempt }));
  if (halt !== undefined) {
    halted += 1;
    await new Promise(() => {});
  }
  return { ran: op.attempt, takenOver: op.takenOver, charge };
}
