/**
 * Keys in the wrong place. Values of flags are recorded in a run's files and shown in messages, and many are sent with every
 * request. A key among them would be published with the results, and hiding it would change the requests unseen.
 */

import { UsageError } from '../../lib/errors.js';
import { ADDRESS_FLAGS, addressesAmong, KEY_FLAGS, valuesOfFlag } from '../../models/known-secrets.js';
import type { Redactor } from '../../secrets/redactor.js';

/**
 * Addresses are shown and recorded without their passwords, commands of `--notify` not at all, and flags that take the name
 * of a variable say so where they are given a key.
 */
const MAY_HOLD_KEYS: readonly string[] = [...ADDRESS_FLAGS, ...KEY_FLAGS].filter(
  (name) => name !== 'dataset',
);

/**
 * @param source of the value, such as `--stop`
 * @throws UsageError that does not repeat the key
 */
export function refuseKey(name: string, value: unknown, source: string, redactor: Redactor): void {
  if (value === null || value === undefined || MAY_HOLD_KEYS.includes(name)) return;
  if (typeof value === 'string' && name === 'dataset' && value.includes('://')) return;
  const key = redactor.sourceIn(typeof value === 'string' ? value : JSON.stringify(value));
  if (key === null) return;
  throw new UsageError(
    `${source} contains the value of ${key}, which would be recorded in the run’s files. Remove it: keys are read from ` +
      'environment variables (--api_key_env) and sent in a header.',
  );
}

/**
 * The same for the words of a command line, before any of them can be in a message: a flag may be mistyped, or its value
 * wrong and cut.
 * @throws UsageError
 */
export function refuseTypedKeys(words: readonly string[], redactor: Redactor): void {
  const allowed = new Set([
    ...MAY_HOLD_KEYS.flatMap((name) => valuesOfFlag(words, name)),
    ...addressesAmong(words),
  ]);
  for (const [place, word] of words.entries()) {
    const value = word.startsWith('--') && word.includes('=') ? word.slice(word.indexOf('=') + 1) : word;
    if (allowed.has(word) || allowed.has(value)) continue;
    const before = [word, words[place - 1] ?? ''].find((one) => /^--[a-z][\w-]{0,60}(?:=|$)/.test(one)) ?? '';
    const [flag = ''] = before.split('=', 1);
    const isNamed = flag !== '' && redactor.sourceIn(flag) === null;
    refuseKey('', word, isNamed ? flag : 'The command line', redactor);
  }
}
