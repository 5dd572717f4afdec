import { InvalidOptionsError } from '../../core/errors.js';

/**
 * A package that handlers of one kind need. It is there when they are, but a strict layout of node_modules may hide it from us.
 *
 * @throws InvalidOptionsError
 */
export async function optionalPackage<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new InvalidOptionsError(
      `@Idempotent() stands on a handler that needs the package \`${name}\`, and nestjs-idempotent cannot load it, so errors and values could not be replayed as they were. Install it in the same project as nestjs-idempotent.`,
      { cause },
    );
  }
}
