/** What comes with the package beside its code. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The package's folder: the nearest one above this file that has a package.json, for the source as for the bundle. */
const ROOT = packageRoot(new URL('.', import.meta.url));

/** A file that comes with the package. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(path, ROOT));
}

/** The package's version, for `--version` and the user agent. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string };
  return version;
}

function packageRoot(folder: URL): URL {
  const parent = new URL('..', folder);
  if (existsSync(new URL('package.json', folder)) || parent.href === folder.href) return folder;
  return packageRoot(parent);
}
