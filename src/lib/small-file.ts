/** Files that people write by hand. */

import { readFileSync, statSync } from 'node:fs';

/** Far more than all flags, variables or a schema need. */
const LARGEST_FILE = 1 << 20;

/**
 * The text of a small file, without a byte order mark.
 * @throws a system error, or an error that says how large the file is
 */
export function readSmallFile(path: string): string {
  const { size } = statSync(path);
  if (size > LARGEST_FILE) throw new Error(`the file has ${size} bytes; ${LARGEST_FILE} are allowed`);
  return readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
}
