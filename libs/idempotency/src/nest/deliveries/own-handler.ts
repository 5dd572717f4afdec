import 'reflect-metadata';
import type { DecoratedMethod } from '../decorated-methods.js';
import { NEST_METADATA } from '../tokens.js';
import { watched } from './watched.js';

/** Lets Nest's servers know a decorated handler again: they keep this object of its decorator, and nothing else of it. */
export function ownHandler({ method }: Pick<DecoratedMethod, 'method'>): void {
  const extras: unknown = Reflect.getMetadata(NEST_METADATA.patternExtras, method);
  if (typeof extras === 'object' && extras !== null) watched.own.add(extras);
}
