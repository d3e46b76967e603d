/** Names of dataset repositories on the Hub. */

import { UsageError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';

const LONGEST_PART = 96;
const PART = /^[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?$/;

/**
 * Checks the name of a dataset repository as the Hub does.
 * @returns `USER/NAME` as it was given
 * @throws UsageError that says what a name looks like
 * @see https://huggingface.co/docs/huggingface_hub/package_reference/utilities (validate_repo_id)
 */
export function checkRepositoryName(text: string, flag: string): string {
  const parts = text.split('/');
  const isValid =
    parts.length === 2 &&
    parts.every((part) => part.length <= LONGEST_PART && PART.test(part)) &&
    !/--|\.\.|\.git$/.test(text);
  if (isValid) return text;
  throw new UsageError(
    `${flag} takes USER/NAME, such as me/answers, not ${sanitize(text, 120)}: letters and digits, with ` +
      `single - and . and _, at most ${LONGEST_PART} each.`,
  );
}
