import type { Group } from './kind.js';
import { aroundTheBody } from './kinds/around-the-body.js';
import { bodies } from './kinds/bodies.js';
import { departedClients } from './kinds/departed-clients.js';
import { earlyAnswers } from './kinds/early-answers.js';
import { errors } from './kinds/errors.js';
import { expressAnswers } from './kinds/express-answers.js';
import { expressRawAnswers } from './kinds/express-raw-answers.js';
import { fastifyAnswers } from './kinds/fastify-answers.js';
import { fastifyRawAnswers } from './kinds/fastify-raw-answers.js';
import { heads } from './kinds/heads.js';
import { interceptorAnswers } from './kinds/interceptor-answers.js';
import { interceptors } from './kinds/interceptors.js';
import { methods } from './kinds/methods.js';
import { refusals } from './kinds/refusals.js';
import { sizes } from './kinds/sizes.js';
import { values } from './kinds/values.js';

/** Every kind of response that is held to "one run, one answer": the list behind the spec and docs/responses.md. */
export const groups: readonly Group[] = [
  values,
  heads,
  methods,
  bodies,
  aroundTheBody,
  interceptors,
  interceptorAnswers,
  errors,
  refusals,
  expressAnswers,
  expressRawAnswers,
  fastifyAnswers,
  fastifyRawAnswers,
  earlyAnswers,
  departedClients,
  sizes,
];
