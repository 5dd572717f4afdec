import { BaseRpcContext } from '@nestjs/microservices';

/** What a consumer may ask about a message that came inside the process: `@Ctx() context: InProcessContext`. */
export class InProcessContext extends BaseRpcContext<[pattern: string]> {
  getPattern(): string {
    return this.args[0];
  }
}
