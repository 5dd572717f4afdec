import { Problem } from '../../../shared/src/problems/problem.js';

export interface ChargeRequest {
  readonly amount: number;
  readonly card: string;
  readonly reference: string;
}

export interface RefundRequest {
  readonly charge: string;
}

/** Three fields and one: a validation library would cost this small process half of its start. */
export function readCharge(body: unknown): ChargeRequest {
  const { amount, card, reference } = (body ?? {}) as Record<string, unknown>;
  const errors = [
    ...(isAmount(amount) ? [] : ['amount must be a whole number of minor units, from 0 to 2^53 - 1']),
    ...(isText(card) ? [] : ['card must be 1 to 64 characters']),
    ...(isText(reference) ? [] : ['reference must be 1 to 64 characters']),
  ];
  if (!isAmount(amount) || !isText(card) || !isText(reference)) throw invalid(errors);
  return { amount, card, reference };
}

export function readRefund(body: unknown): RefundRequest {
  const { charge } = (body ?? {}) as Record<string, unknown>;
  if (!isText(charge)) throw invalid(['charge must be the id of a charge']);
  return { charge };
}

export function readReference(reference: unknown): string {
  if (!isText(reference)) throw invalid(['reference must be given, once: GET /charges?reference=…']);
  return reference;
}

/** As clients send it, bare or as a String of RFC 8941: both name the same key. */
export function readKey(header: string | undefined): string {
  const key = /^"(.*)"$/.exec(header ?? '')?.[1] ?? header;
  if (key && key.length <= 255) return key;
  throw new Problem(
    400,
    'key-missing',
    'Send an Idempotency-Key header of 1 to 255 characters: one for each charge, and the same one to ask again.',
  );
}

const isAmount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.length >= 1 && value.length <= 64;

const invalid = (errors: readonly string[]): Problem =>
  new Problem(400, 'invalid-request', 'The request is not as it should be; `errors` says where.', { errors });
