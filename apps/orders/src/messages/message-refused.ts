import { RpcException } from '@nestjs/microservices';

const CODE = 'message-refused';

/**
 * A message is not what its consumer understands, and never will be. Over RabbitMQ it goes to the queue of refused messages;
 * inside the process it stays in the outbox as a dead letter.
 */
export class MessageRefusedError extends RpcException {
  constructor(errors: readonly string[]) {
    const detail = `The message is not as it should be: ${errors.join(', ')}.`;
    super({ status: 400, code: CODE, detail });
    this.message = detail; // for logs
  }
}

/** @param reason what came back from a consumer: the error itself, or what it says */
export function isRefused(reason: unknown): boolean {
  const said: unknown = reason instanceof RpcException ? reason.getError() : reason;
  return (said as { code?: unknown } | undefined)?.code === CODE;
}
