/** Values of flags that are JSON, written on the command line or in a file. */

import { readFileSync, statSync } from 'node:fs';
import { messageOf, UsageError } from './errors.js';
import { isObject } from './json.js';
import { inert } from './text.js';

/** Far more than any schema. */
const LARGEST_FILE = 1 << 20;

/**
 * A JSON object as a flag gives it: the text itself, or `@FILE` for the content of a file.
 * @param source what gave it, such as `--extra_body`
 * @throws UsageError that names it and what is wrong
 */
export function jsonArgument(source: string, text: string): Record<string, unknown> {
  const isFile = text.startsWith('@');
  const where = isFile ? `${source} ${inert(text, 200)}` : source;
  let value: unknown;
  try {
    value = JSON.parse(isFile ? readSmallFile(text.slice(1)) : text);
  } catch (error) {
    throw new UsageError(`${where}: ${isFile ? '' : 'not JSON: '}${inert(messageOf(error), 160)}`);
  }
  if (!isObject(value)) throw new UsageError(`${where} must be a JSON object such as {"top_k": 20}.`);
  if (Object.hasOwn(value, '__proto__'))
    throw new UsageError(`${where}: "__proto__" is not a field of a request.`);
  return value;
}

function readSmallFile(path: string): string {
  const { size } = statSync(path);
  if (size > LARGEST_FILE) throw new Error(`the file has ${size} bytes; ${LARGEST_FILE} are allowed`);
  return readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
}
