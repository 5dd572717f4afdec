import type { Group } from './kind.js';
import { bodies } from './kinds/bodies.js';
import { earlyAnswers } from './kinds/early-answers.js';
import { errors } from './kinds/errors.js';
import { expressAnswers } from './kinds/express-answers.js';
import { fastifyAnswers } from './kinds/fastify-answers.js';
import { heads } from './kinds/heads.js';
import { interceptors } from './kinds/interceptors.js';
import { sizes } from './kinds/sizes.js';
import { values } from './kinds/values.js';

/** Every kind of response that is held to "one run, one answer": the list behind the spec and docs/responses.md. */
export const groups: readonly Group[] = [
  values,
  heads,
  bodies,
  interceptors,
  errors,
  expressAnswers,
  fastifyAnswers,
  earlyAnswers,
  sizes,
];
