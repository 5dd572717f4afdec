import { describe, expect, it } from '@jest/globals';
import { InvalidOptionsError } from '../../core/errors.js';
import { optionalPackage } from './optional-package.js';

describe('optionalPackage', () => {
  it('gives the package', async () => {
    expect(await optionalPackage('rxjs', () => import('rxjs'))).toHaveProperty('Observable');
  });

  it('says which one is missing, and what to do', async () => {
    const name = '@nestjs/no-such-package';

    await expect(optionalPackage(name, () => import(name))).rejects.toThrow(InvalidOptionsError);
    await expect(optionalPackage(name, () => import(name))).rejects.toThrow(
      /needs the package `@nestjs\/no-such-package`.*Install it in the same project/,
    );
  });
});
