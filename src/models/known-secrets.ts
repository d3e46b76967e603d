/** What counts as a secret: which values of the environment and the command line are hidden wherever they turn up. */

import { PROVIDERS } from './providers.js';
import { secretsIn, splitAddresses } from '../http/address.js';
import { readKey } from './key.js';
import { namesIn } from './server-list.js';
import type { Secret } from '../secrets/secret.js';

type Variables = Readonly<Record<string, string | undefined>>;

/** Flags whose values are, or hold, addresses with a password or a key. */
export const ADDRESS_FLAGS = ['base_url', 'fallback_base_url', 'limiter', 'dataset', 'notify'] as const;
/** Flags that name variables with keys. */
export const KEY_FLAGS = ['api_key_env', 'fallback_api_key_env'] as const;

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
 * @param texts texts with addresses, such as the values of `ADDRESS_FLAGS`
 */
export function knownSecrets(
  variables: Variables,
  keyVariables: readonly string[],
  texts: readonly string[],
): Secret[] {
  const providers = Object.values(PROVIDERS);
  const keys = providers.map(({ apiKeyVariable }) => apiKeyVariable);
  const addresses = [...ADDRESSES, ...providers.flatMap(({ baseUrlVariable }) => baseUrlVariable ?? [])];
  return [
    ...[...keys, ...keyVariables.flatMap(namesIn), 'HF_TOKEN'].flatMap((name) =>
      keysIn(variables[name] ?? '', name),
    ),
    ...addresses.flatMap((name) => passwordsIn(variables[name] ?? '', `the address in ${name}`)),
    ...texts.flatMap(addressesIn).flatMap((url) => passwordsIn(url, 'the address in a flag')),
  ];
}

/** A key as it was set, and as it is sent. */
function keysIn(text: string, source: string): Secret[] {
  return [text.trim(), readKey(text)].map((value) => ({ value, source }));
}

/** Far more than a command line has. */
const LONGEST_ADDRESSES = 1 << 16;

/** The addresses in a text, alone or in lists. */
function addressesIn(text: string): string[] {
  const found = text.slice(0, LONGEST_ADDRESSES).match(/[a-z][a-z0-9+.-]{0,20}:\/\/[^\s'"<>]+/gi) ?? [];
  return found.flatMap(splitAddresses);
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

/** Words of a command line that are addresses, or flags with one: a flag may be mistyped, and is named in a message then. */
export function addressesAmong(words: readonly string[]): string[] {
  return words.filter((word) => /^(?:-{1,2}[\w-]{1,60}=)?[a-z][a-z0-9+.-]{0,20}:\/\//i.test(word));
}
