import { applyDecorators } from '@nestjs/common';
import {
  ApiCreatedResponse,
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import { USER_HEADER } from '../users/user.guard.js';
import { OrderView } from './dto/order.view.js';

type Decorator = MethodDecorator & ClassDecorator;

/** What /docs says about the routes, kept apart so that the controller reads as what it does. */
export const DocumentOrders = (): ClassDecorator =>
  applyDecorators(
    ApiTags('orders'),
    ApiHeader({
      name: USER_HEADER,
      required: true,
      example: 'ada',
      description: 'Who you are. Stands in for a login.',
    }),
    problem(401, 'Nobody says who sends this.'),
  );

export const Documented = {
  create: (): Decorator =>
    applyDecorators(
      ApiOperation({
        summary: 'Place an order',
        description: 'The stock is moved and an e-mail is sent a moment after the answer, once each.',
      }),
      keyHeader(true),
      ApiCreatedResponse({ type: OrderView, headers: { ...LOCATION, ...ETAG, ...REPLAYED } }),
      problem(400, 'Not an order, or no Idempotency-Key.'),
      ...keyProblems(),
    ),
  list: (): Decorator =>
    applyDecorators(
      ApiOperation({ summary: 'List your orders, the youngest first' }),
      ApiOkResponse({ type: [OrderView] }),
    ),
  get: (): Decorator =>
    applyDecorators(
      ApiOperation({ summary: 'Read one of your orders' }),
      ApiOkResponse({ type: OrderView, headers: ETAG }),
      missing(),
    ),
  put: (): Decorator =>
    applyDecorators(
      ApiOperation({ summary: 'Create an order under an id that you made, or replace it' }),
      keyHeader(false),
      ifMatch('Which version you replace. Required for an order that exists, unless the body says it.'),
      ApiCreatedResponse({ type: OrderView, headers: { ...LOCATION, ...ETAG, ...REPLAYED } }),
      ApiOkResponse({ type: OrderView, headers: { ...ETAG, ...REPLAYED } }),
      missing(),
      ...versionProblems(),
      ...keyProblems(),
    ),
  patch: (): Decorator =>
    applyDecorators(
      ApiOperation({ summary: 'Change parts of an order to the values sent' }),
      keyHeader(false),
      ifMatch('Which version you change. Required, unless the body says it.'),
      ApiOkResponse({ type: OrderView, headers: { ...ETAG, ...REPLAYED } }),
      missing(),
      ...versionProblems(),
      ...keyProblems(),
    ),
  remove: (): Decorator =>
    applyDecorators(
      ApiOperation({ summary: 'Delete an order' }),
      keyHeader(false),
      ifMatch('Delete only this version.'),
      ApiNoContentResponse({ headers: REPLAYED }),
      missing(),
      problem(412, 'The order has changed since you read it.'),
      ...keyProblems(),
    ),
};

const text = (description: string): { description: string; schema: { type: 'string' } } => ({
  description,
  schema: { type: 'string' },
});

const LOCATION = { Location: text('Where the order is: /orders/<id>.') };
const ETAG = { ETag: text('The version in quotes. Send it back as If-Match.') };
export const REPLAYED = {
  'Idempotent-Replayed': text(
    '`true` on an answer that was recorded when this key was first used. Absent on the first.',
  ),
  'Idempotency-Expires': text('Until when the same key gets the same answer.'),
};

export const keyHeader = (required: boolean): Decorator =>
  ApiHeader({
    name: 'Idempotency-Key',
    required,
    description:
      'A value of your own for this operation, such as a UUID. Send the same one only to retry: you get the first answer again.',
  });

const ifMatch = (description: string): Decorator =>
  ApiHeader({ name: 'If-Match', required: false, description });

export const problem = (status: number, description: string): Decorator =>
  ApiResponse({ status, description });
export const missing = (): Decorator => problem(404, 'You have no such order.');

export const keyProblems = (
  conflict = 'A request with this Idempotency-Key is still running, or the order is closed.',
  otherRequest = 'This Idempotency-Key was first used with a different request.',
): Decorator[] => [problem(409, conflict), problem(422, otherRequest)];

const versionProblems = (): Decorator[] => [
  problem(412, 'The order has changed since you read it.'),
  problem(428, 'The order exists, and you do not say which version you have seen.'),
];
