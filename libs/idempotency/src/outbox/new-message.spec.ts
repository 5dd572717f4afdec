import { describe, expect, it } from '@jest/globals';
import { runningExecution, type RunningExecution } from '../nest/running-execution.js';
import type { NewOutboxMessage } from '../typeorm/outbox/message.js';
import { rowOf } from './new-message.js';

const message = (more: Partial<NewOutboxMessage> = {}): NewOutboxMessage => ({
  pattern: 'orders.placed',
  payload: { order: 1 },
  ...more,
});

describe('a message that is added', () => {
  it('has an id and a correlation id of its own unless told', () => {
    const [one, other] = [rowOf(message()), rowOf(message())];
    expect(one.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(one.id).not.toBe(other.id);
    expect(one.correlationId).not.toBe(other.correlationId);
    const told = { id: 'm1', correlationId: 'c1', aggregate: 'order:1', headers: { kind: 'x' } };
    expect(rowOf(message(told))).toEqual({
      ...told,
      pattern: 'orders.placed',
      payload: '{"order":1}',
      headers: '{"kind":"x"}',
    });
  });

  it('has the correlation id of the operation that runs', () => {
    const running = { operation: { correlationId: 'of the operation' } } as RunningExecution;
    expect(runningExecution.run(running, () => rowOf(message()).correlationId)).toBe('of the operation');
  });

  it('may tell whatever survives JSON, null too', () => {
    expect(rowOf(message({ payload: null })).payload).toBe('null');
    expect(rowOf(message({ payload: ['a\u0000b', { deep: [1.5, true] }] })).payload).toBe(
      '["a\\u0000b",{"deep":[1.5,true]}]',
    );
  });

  it.each<[string, Partial<NewOutboxMessage>]>([
    ['`pattern` must be a string', { pattern: '' }],
    ['`pattern` must be a string', { pattern: { cmd: 'x' } as never }],
    ['`aggregate` must be a string', { aggregate: 'order:1 ' }],
    ['`aggregate` must be a string', { aggregate: 'ä'.repeat(128) }],
    ['`aggregate` must be a string', { aggregate: 'order:1\nERROR all is lost' }],
    ['`pattern` must be a string', { pattern: 'orders\ud800' }],
    ['`id` cannot be used: it is empty', { id: '' }],
    ['`id` cannot be used: it holds characters', { id: 'é' }],
    ['`id` cannot be used: it is no string', { id: 7 as never }],
    ['`payload` must be plain data', { payload: undefined }],
    ['`payload` must be plain data', { payload: { at: new Date() } }],
    ['`payload` must be plain data', { payload: { sum: NaN } }],
    ['`payload` must be plain data', { payload: () => 1 }],
    ['`headers` must be an object of strings', { headers: { kind: 1 } as never }],
    ['`headers` must be an object of strings', { headers: { 'a b': 'x' } }],
    ['`headers` must be an object of strings', { headers: { kind: 'a\r\nb: c' } }],
    ['`correlationId` must be 1 to 128 bytes', { correlationId: 'a b' }],
  ])('is refused where it could not be sent, or not be told from others: %s', (sentence, wrong) => {
    const attempt = () => rowOf(message(wrong));
    expect(attempt).toThrow(expect.objectContaining({ code: 'invalid-options' }));
    expect(attempt).toThrow(`outbox.add: ${sentence}`);
  });
});
