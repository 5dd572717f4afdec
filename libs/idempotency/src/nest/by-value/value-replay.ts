import type { StoredResult } from '../../core/result.js';
import { resourceFrom } from '../../http/recorded-response.js';
import { withoutRun, type Answer } from '../exchange.js';
import { IdempotencyException } from '../problems.js';
import { settle, shown } from '../settle.js';
import { Acknowledgement } from './acknowledgement.js';
import { resultToOutcome } from './recorded-value.js';
import type { ValueExchange } from './value-exchange.js';

/**
 * Answers in the handler's place with what is recorded: pipes, interceptors and filters work as for a first answer.
 *
 * @throws IdempotencyException `result-not-replayable` or `record-unreadable`
 */
export function replayValue(exchange: ValueExchange, result: StoredResult, id: string, key: string): Answer {
  const { runtime, operation, correlationId } = exchange;
  try {
    const inItsPlace = handleFor(exchange, result);
    const answer = withoutRun(exchange, { key, recordId: id }, () => inItsPlace);
    runtime.publish({ type: 'replayed', id, operation, correlationId });
    return answer;
  } catch (error) {
    if (error instanceof IdempotencyException) throw error;
    runtime.publish({ type: 'record-unreadable', id, operation, correlationId, error });
    throw runtime.problems.recordUnreadable(error);
  }
}

function handleFor(exchange: ValueExchange, result: StoredResult): () => unknown {
  const { runtime, plan, context, request } = exchange;
  const kept = resultToOutcome(result, runtime.classes);
  switch (kept.kind) {
    case 'returned':
      return () => {
        if (kept.acknowledged) Acknowledgement.of(context)?.sendAgain(kept.acknowledged);
        return shown(kept.value);
      };
    case 'threw': {
      const error = runtime.transportErrors.rebuild(plan.transport, kept.error);
      return () => Promise.reject(error);
    }
    case 'nothing': {
      const resource = resourceFrom(result.meta['resource']);
      const { replayWith } = plan.options;
      if (replayWith !== undefined && resource !== undefined) {
        return async () => shown(await settle(replayWith(resource, context)));
      }
      // Nobody waits for what an event came to.
      if (request.noReply) return () => undefined;
      throw runtime.problems.notReplayable(resource);
    }
  }
}
