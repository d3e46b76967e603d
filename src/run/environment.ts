/** What the program takes from the environment, read once. */

import { checkUrl } from '../http/address.js';
import { UsageError } from '../lib/errors.js';
import { withoutTrailing } from '../lib/text.js';
import { knownSecrets } from '../models/known-secrets.js';
import type { Redactor } from '../secrets/redactor.js';
import { HUB_HOSTS_VARIABLE } from '../types.js';
import type { Environment } from './settings.js';

/** Where a key and an address were named. */
interface NamedSecrets {
  /** A variable that holds a key; null for none but the known ones. */
  apiKeyVariable: string | null;
  /** An address that may hold a password; null for none. */
  baseUrl: string | null;
}

/**
 * @param redactor learns the secrets that the variables hold
 * @throws UsageError where an address of the Hub is none
 */
export function readEnvironment(
  variables: NodeJS.ProcessEnv,
  redactor: Redactor,
  { apiKeyVariable, baseUrl }: NamedSecrets,
): Environment {
  const token = variables['HF_TOKEN']?.trim() ?? '';
  redactor.add(
    knownSecrets(
      variables,
      apiKeyVariable === null ? [] : [apiKeyVariable],
      baseUrl === null ? [] : [baseUrl],
    ),
  );
  return {
    variables,
    redactor,
    hub: {
      endpoint: hubAddress(variables, 'HF_ENDPOINT', 'https://huggingface.co'),
      datasetsServerUrl: hubAddress(
        variables,
        'HF_DATASETS_SERVER_URL',
        'https://datasets-server.huggingface.co',
      ),
      hosts: (variables[HUB_HOSTS_VARIABLE] ?? '')
        .toLowerCase()
        .split(/[\s,]+/)
        .filter((host) => host !== ''),
      token: token === '' ? null : token,
    },
  };
}

function hubAddress(variables: NodeJS.ProcessEnv, name: string, otherwise: string): string {
  const value = variables[name]?.trim() ?? '';
  if (value === '') return otherwise;
  const text = checkUrl(value, name);
  const { username, password } = new URL(text);
  if (username === '' && password === '') return withoutTrailing(text, '/');
  throw new UsageError(
    `${name} contains a name or password, which the Hub does not accept; put a token in HF_TOKEN.`,
  );
}
