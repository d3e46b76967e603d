/** Values of flags that are JSON, written on the command line or in a file. */

import { messageOf, UsageError } from './errors.js';
import { isObject } from './json.js';
import { readSmallFile } from './small-file.js';
import { bareFileReason, isFileProblem } from './files.js';
import { sanitize } from './text.js';

/**
 * A JSON object as a flag gives it: the text itself, or `@FILE` for the content of a file.
 * @param source what gave it, such as `--extra_body`
 * @throws UsageError that names it and what is wrong
 */
export function jsonArgument(source: string, text: string): Record<string, unknown> {
  const isFile = text.startsWith('@');
  const where = isFile ? `${source} ${sanitize(text, 200)}` : source;
  let value: unknown;
  try {
    value = JSON.parse(isFile ? readSmallFile(text.slice(1)) : text);
  } catch (error) {
    throw new UsageError(
      isFileProblem(error)
        ? `${where} cannot be read: ${sanitize(bareFileReason(error), 160)}.`
        : `${where}: not JSON: ${sanitize(messageOf(error), 160)}`,
    );
  }
  if (!isObject(value)) throw new UsageError(`${where} must be a JSON object such as {"top_k": 20}.`);
  if (Object.hasOwn(value, '__proto__'))
    throw new UsageError(`${where}: "__proto__" is not a field of a request.`);
  return value;
}
