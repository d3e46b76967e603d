import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from './cli.js';

const PRELOAD = fileURLToPath(new URL('usage-preload.js', import.meta.url));

export interface Usage {
  /** Peak memory. */
  megabytes: number;
  cpuSeconds: number;
}

/** The environment in which the program notes what it uses, and what it has noted. */
export function measured(): { env: Record<string, string>; usage: () => Usage } {
  const file = join(temporaryFolder(), 'usage.json');
  return {
    env: { NODE_OPTIONS: `--import ${PRELOAD}`, USAGE_FILE: file },
    usage: () => JSON.parse(readFileSync(file, 'utf8')) as Usage,
  };
}
