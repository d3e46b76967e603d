import { expect, it } from 'vitest';
import { PROVIDERS } from '../../src/models/providers.js';
import { knownSecrets } from '../../src/models/known-secrets.js';

const KEY = 'sk-very+secret/key="1"&x';

const variables = Object.values(PROVIDERS).flatMap(({ apiKeyVariable }) => apiKeyVariable ?? []);

it.each([...variables, 'HF_TOKEN'])('the value of %s is a secret, whichever provider a run uses', (name) => {
  expect(knownSecrets({ [name]: KEY }, [], [])).toContainEqual({ value: KEY, source: name });
});

it('the variable that --api_key_env names holds a secret, and so does an address with a password', () => {
  const found = knownSecrets({ MY_KEY: KEY }, ['MY_KEY'], ['http://user:sk-in-the-address@host/v1']);
  expect(found.map(({ value }) => value)).toEqual(expect.arrayContaining([KEY, 'sk-in-the-address']));
});
