import { expect, it } from 'vitest';
import { libraryOptions } from '../../src/cli/library-options.js';

it('the options of the library are what the flag table says; npm run docs writes them', async () => {
  await expect(libraryOptions()).toMatchFileSnapshot('../../src/library/options.ts');
});
