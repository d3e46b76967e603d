import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { packageFile } from '../../src/lib/package.js';

it('every test that docs/security.md names is there', () => {
  const text = readFileSync(packageFile('docs/security.md'), 'utf8');
  const named = [...text.matchAll(/`(test\/[^`]+)`/g)].map(([, path]) => path ?? '');
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((path) => !existsSync(packageFile(path)))).toEqual([]);
});
