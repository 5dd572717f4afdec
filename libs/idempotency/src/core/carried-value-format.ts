/** Classes that a value may be made of, each under a name that every process of the application knows it by. */
export interface KnownClasses {
  nameOf(prototype: object): string | undefined;
  prototypeOf(name: string): object | undefined;
}

/** First byte of what is more than JSON: no JSON text begins with it, so nobody reads one for the other. */
export const TAGGED = 0x00;
/** The one member of an object that stands for something JSON has no form for: `[tag, ...]`. */
export const TAG = '\u0000';
export type Tagged =
  | readonly ['undefined']
  | readonly ['number' | 'bigint' | 'buffer' | 'bytes', string]
  | readonly ['date', number | null]
  | readonly ['map' | 'entries', readonly (readonly [unknown, unknown])[]]
  | readonly ['set', readonly unknown[]]
  | readonly ['class', string, readonly (readonly [string, unknown])[]]
  | readonly ['ref', number];
