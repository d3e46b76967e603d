/** What comes with the package beside its code. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The package's folder: this file lies right below it in a folder, as source and built. */
const ROOT = new URL('..', import.meta.url);

/** A file that comes with the package. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(path, ROOT));
}

/** The package's version, for `--version` and the user agent. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string };
  return version;
}
