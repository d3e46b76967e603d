import { expect, it } from 'vitest';
import { PROVIDERS } from '../../src/models/providers.js';
import { addressesAmong, knownSecrets } from '../../src/models/known-secrets.js';
import { readKeyNames } from '../../src/models/server-list.js';

const KEY = 'sk-very+secret/key="1"&x';

const variables = Object.values(PROVIDERS).map(({ apiKeyVariable }) => apiKeyVariable);

it.each([...variables, 'HF_TOKEN'])('the value of %s is a secret, whichever provider a run uses', (name) => {
  expect(knownSecrets({ [name]: KEY }, [], [])).toContainEqual({ value: KEY, source: name });
});

it('the variable that --api_key_env names holds a secret, and so does an address with a password', () => {
  const found = knownSecrets({ MY_KEY: KEY }, ['MY_KEY'], ['http://user:sk-in-the-address@host/v1']);
  expect(found.map(({ value }) => value)).toEqual(expect.arrayContaining([KEY, 'sk-in-the-address']));
});

it.each([
  'http://user:Secret-1-in-the-address@host/v1',
  'http://a/v1,https://b/v1?api-key=Secret-1-in-the-address',
  '--base_urll=http://user:Secret-1-in-the-address@host/v1',
  'curl -s https://hooks.example.com/x?token=Secret-1-in-the-address -d done',
  'redis://:Secret-1-in-the-address@host:6379/0',
])('an address in a list, a command or a mistyped flag holds a secret as well: %s', (text) => {
  const found = knownSecrets({}, [], [text]).map(({ value }) => value);
  expect(found).toContain('Secret-1-in-the-address');
});

it('words of a command line are addresses where they begin with a scheme', () => {
  const words = ['--limit', '5', 'http://a', '--base_urll=http://b', 'a prompt with http://c', '@hosts.txt'];
  expect(addressesAmong(words)).toEqual(['http://a', '--base_urll=http://b']);
});

it.each(['OPENAI_API_KEY', 'A,B', 'my-key', 'KEY_2', 'HF_TOKEN_OF_THE_GROUP_3'])(
  '%s names variables',
  (names) => {
    expect(readKeyNames(names, '--api_key_env')).toBe(names);
  },
);

it.each([
  'sk-proj-Ab3_dE5gH7jK9-mN1pQ2rS4tU6vW8xY0zAbC',
  'hf_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbC',
  'OPENAI_API_KEY,gsk_aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEfGhIjKlMnOpQ',
  '0123456789abcdef0123456789abcdef',
  'd0123456789abcdef0123456789abcdef',
  'Bearer abc',
  'key=abc',
])('a key in the place of its variable’s name is refused without a repetition: %s', (key) => {
  const secret = key.split(',').at(-1) ?? '';
  expect(() => readKeyNames(key, '--api_key_env')).toThrow(/takes the name of an environment variable/);
  expect(() => readKeyNames(key, '--api_key_env')).not.toThrow(secret);
});
