import { expect, it } from 'vitest';
import { reference } from '../../src/cli/reference.js';

it('docs/cli.md is what the flag table says; npm run docs writes it', async () => {
  await expect(reference()).toMatchFileSnapshot('../../docs/cli.md');
});
