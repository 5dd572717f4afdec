import { carriedValue } from '../../core/carried-value-reader.js';
import type { Run } from '../../core/run.js';
import { entered } from '../entered.js';
import { inside, type Answer } from '../exchange.js';
import { RunningOperation } from '../idempotent-operation.js';
import { answerLate, lateOutcome } from '../late-answer.js';
import { recover } from '../recover.js';
import { startHandler, workOf } from '../run-handler.js';
import { factsOf } from '../http-run.js';
import { shown } from '../settle.js';
import { endAgain } from '../undo-mode.js';
import { guarded } from '../user-callbacks.js';
import { verdictOf } from './message-verdict.js';
import { Acknowledgement } from './acknowledgement.js';
import type { ValueExchange } from './value-exchange.js';
import { ValueExecution } from './value-execution.js';
import { ValueRecord } from './value-record.js';

/** Runs the handler and records what it came to. */
export function runValue(exchange: ValueExchange, run: Run, key: string): Answer {
  const { runtime, plan } = exchange;
  // A route that shares its records with us may have been answered before its handler was through.
  const late = lateOutcome(exchange, run);
  const { ttlMs, maxResponseBytes } = plan.options;
  const { record: policy } = guarded(plan.options, runtime);
  const transport = plan.transport === 'http' ? 'job' : plan.transport;
  const { classes, serializers } = runtime;
  const carry = (value: unknown) => serializers.carry(value, classes);
  const acknowledgement = transport === 'ws' ? Acknowledgement.of(exchange.context) : undefined;
  acknowledgement?.hold();
  const work = workOf(runtime, run, plan.options, plan.transport);
  const record = new ValueRecord({
    runtime,
    work,
    transport,
    record: policy,
    ttlMs,
    maxResponseBytes,
    carry,
    acknowledgement,
    part: exchange.part,
  });
  const operation = new RunningOperation(factsOf(work, key), (resource) => (record.resource = resource));
  let keptBytes = 0;
  const execution = new ValueExecution({
    record,
    // GraphQL takes the last value of an Observable; a message is answered with each, but not before its writes are committed.
    replies: transport === 'graphql' ? 'last' : plan.options.transactional ? 'together' : 'each',
    copy: (emission) => {
      const carried = carry(emission);
      // Why it cannot be carried is told at the end, when all of them are.
      if (carried.kind === 'refused') return { value: emission };
      keptBytes += carried.bytes.length;
      return keptBytes <= maxResponseBytes ? { value: carriedValue(carried.bytes, classes) } : undefined;
    },
    verdictOf: (error) => verdictOf(exchange, error),
    run: async (handler) => {
      const { undoing } = work.steps;
      if (undoing !== undefined)
        return endAgain(work, undoing, { runtime, transport: plan.transport }, handler);
      if (late !== undefined) return shown(answerLate(late));
      const earlier = operation.takenOver ? await recover(exchange, operation) : undefined;
      return earlier === undefined ? startHandler(work, runtime.problems, handler) : earlier;
    },
  });
  const answer = inside(exchange, operation, execution.handle);
  return (next) => execution.watch(entered(work, () => answer(next)));
}
