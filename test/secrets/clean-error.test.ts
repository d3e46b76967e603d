import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { UserError } from '../../src/lib/errors.js';
import { cleanError } from '../../src/secrets/clean-error.js';
import { Redactor } from '../../src/secrets/redactor.js';

const KEY = 'sk-proj-Ab3_dE5gH7jK9-mN1pQ2rS4tU6vW8';
const redactor = new Redactor([{ value: KEY, source: 'KEY' }]);

it('an error keeps its class and what it says, without secrets at any depth', () => {
  const root = Object.assign(new Error(`refused ${KEY}`), {
    code: 'ECONNREFUSED',
    request: { headers: [`Bearer ${KEY}`] },
  });
  const several = new AggregateError([root, new Error(encodeURIComponent(`?key=${KEY}`))], KEY);
  const error = new UserError(`It failed: ${KEY}.`, 75, { cause: several });
  const clean = cleanError(error, redactor);
  expect(clean).toBe(error);
  expect(inspect(clean, { depth: 10 })).not.toMatch(/Ab3_dE5gH7|Ab3%5FdE5/);
  expect(error).toMatchObject({ message: 'It failed: [redacted].', exitCode: 75 });
  expect(error.stack).toContain('clean-error.test');
  expect(root.code).toBe('ECONNREFUSED');
});

it('circular causes, frozen errors and values that are not errors are accepted', () => {
  const first = new Error(KEY);
  first.cause = new Error('second', { cause: first });
  expect(inspect(cleanError(first, redactor))).not.toContain(KEY);
  const frozen = Object.freeze(new Error('nothing'));
  expect(cleanError(frozen, redactor)).toBe(frozen);
  expect(cleanError(`thrown ${KEY}`, redactor)).toBe('thrown [redacted]');
  expect(cleanError(undefined, redactor)).toBeUndefined();
  const own = Object.assign(new Error('of a callback'), { at: new Date(0) });
  expect(cleanError(own, redactor)).toHaveProperty('at', new Date(0));
});
