/** Whose token it is, and whether it may write where it is to. */

import { UserError } from '../lib/errors.js';
import { isObject } from '../lib/json.js';
import { sanitize } from '../lib/text.js';

/**
 * Checks the answer of `whoami-v2` against the target repository. What the answer does not state is let through:
 * the Hub itself has the last word.
 * @param account the answer of `/api/whoami-v2`
 * @param repository `USER/NAME`
 * @throws UserError where the push would be refused
 */
export function requireWritable(account: unknown, repository: string, endpoint: string): void {
  const [namespace = ''] = repository.split('/');
  const { names, role, scopes, isPerson } = readAccount(account);
  const remedy = `make one that may write at ${endpoint}/settings/tokens, and set HF_TOKEN`;
  if (role === 'read') throw new UserError(`HF_TOKEN may only read: ${remedy}.`);
  if (role === 'fineGrained' && scopes !== null) {
    const suits = scopes.some(
      ({ entity, permissions }) =>
        (isSame(entity, namespace) || isSame(entity, repository)) && permissions.includes('repo.write'),
    );
    if (!suits) throw new UserError(`HF_TOKEN may not write to ${repository}: ${remedy}.`);
    return;
  }
  const [name = ''] = names;
  if (!isPerson || name === '' || names.some((one) => isSame(one, namespace))) return;
  const shown = sanitize(name, 96);
  throw new UserError(
    `HF_TOKEN belongs to ${shown}, who is not in ${namespace}: give --push_to_hub ${shown}/NAME, or set the token of an ` +
      'account that is.',
  );
}

/** Names on the Hub differ by more than their case. */
function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

interface Account {
  /** The user's own name, then those of the organisations. */
  names: string[];
  role: string | null;
  /** False for the token of an app, which may write where it was let in. */
  isPerson: boolean;
  /** What a fine-grained token may do where; null where it is not known. */
  scopes: { entity: string; permissions: unknown[] }[] | null;
}

function readAccount(account: unknown): Account {
  if (!isObject(account)) return { names: [], role: null, isPerson: false, scopes: null };
  const { auth, orgs, type } = account;
  const token = isObject(auth) && isObject(auth['accessToken']) ? auth['accessToken'] : {};
  const fineGrained = isObject(token['fineGrained']) ? token['fineGrained'] : {};
  return {
    names: [account, ...(Array.isArray(orgs) ? (orgs as unknown[]) : [])].flatMap(nameOf),
    role: typeof token['role'] === 'string' ? token['role'] : null,
    isPerson: type !== 'app' && (!isObject(auth) || !String(auth['type']).startsWith('app_token')),
    scopes: Array.isArray(fineGrained['scoped'])
      ? (fineGrained['scoped'] as unknown[]).filter(isObject).map(({ entity, permissions }) => ({
          entity: nameOf(entity)[0] ?? '',
          permissions: Array.isArray(permissions) ? (permissions as unknown[]) : [],
        }))
      : null,
  };
}

function nameOf(value: unknown): string[] {
  return isObject(value) && typeof value['name'] === 'string' ? [value['name']] : [];
}
