/** What counts as a secret: which values of the environment and the command line are hidden wherever they turn up. */

import { PROVIDERS } from './providers.js';
import { secretsIn, splitAddresses } from '../http/address.js';
import { readKey } from './key.js';
import { namesIn } from './server-list.js';
import type { Secret } from '../secrets/secret.js';

type Variables = Readonly<Record<string, string | undefined>>;

/** Flags whose values are addresses that may hold a password or a key. */
export const ADDRESS_FLAGS = ['base_url', 'limiter'] as const;

/** Variables whose addresses may hold a password or a key. */
const ADDRESSES = [
  'HTTPS_PROXY',
  'https_proxy',
  'HTTP_PROXY',
  'http_proxy',
  'ALL_PROXY',
  'all_proxy',
  'HF_ENDPOINT',
  'HF_DATASETS_SERVER_URL',
];

/**
 * Every secret that this process knows of: the keys of all providers, `HF_TOKEN`, and the passwords and keys inside
 * addresses.
 * @param keyVariables more variables that hold keys, as `--api_key_env` lists them
 * @param baseUrls addresses, as `--base_url` lists them
 */
export function knownSecrets(
  variables: Variables,
  keyVariables: readonly string[],
  baseUrls: readonly string[],
): Secret[] {
  const providers = Object.values(PROVIDERS);
  const keys = providers.flatMap(({ apiKeyVariable }) => apiKeyVariable ?? []);
  const addresses = [...ADDRESSES, ...providers.flatMap(({ baseUrlVariable }) => baseUrlVariable ?? [])];
  return [
    ...[...keys, ...keyVariables.flatMap(namesIn), 'HF_TOKEN'].flatMap((name) =>
      keysIn(variables[name] ?? '', name),
    ),
    ...addresses.flatMap((name) => passwordsIn(variables[name] ?? '', `the address in ${name}`)),
    ...baseUrls.flatMap(splitAddresses).flatMap((url) => passwordsIn(url, 'the address in a flag')),
  ];
}

/** A key as it was set, and as it is sent. */
function keysIn(text: string, source: string): Secret[] {
  return [text.trim(), readKey(text)].map((value) => ({ value, source }));
}

function passwordsIn(address: string, source: string): Secret[] {
  // Proxies are named without a scheme as well.
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(address.trim()) ? address : `http://${address.trim()}`;
  return secretsIn(whole).map((value) => ({ value, source }));
}

/**
 * The values of a flag wherever it is on a command line. Messages about the command line itself come before it is
 * understood, and of a flag that is given twice all values are kept out of them.
 */
export function valuesOfFlag(words: readonly string[], name: string): string[] {
  const pattern = new RegExp(`^--${name.replaceAll('_', '[-_]')}(?:=(.*))?$`, 's');
  return words.flatMap((word, index) => {
    const match = pattern.exec(word);
    return match === null ? [] : (match[1] ?? words[index + 1] ?? []);
  });
}
