import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder, type Finished } from './cli.js';

const PRELOAD = fileURLToPath(new URL('disk-fault-preload.js', import.meta.url));

/** One call of a file operation that fails, or at which the program dies. */
export interface DiskFault {
  /** Such as `writeSync`. */
  call: string;
  /** Which of these calls, from 0. */
  at: number;
  /** An error code, or `SIGKILL`. */
  code: string;
  /** All further calls fail as well. */
  lasting?: boolean;
}

export function describeFault({ call, at, code, lasting = false }: DiskFault): string {
  return `${code} at ${call} ${at}${lasting ? ' and from then on' : ''}`;
}

/** The environment in which the program meets a fault below a folder. */
export function withFault(
  { call, at, code, lasting = false }: DiskFault,
  below: string,
): Record<string, string> {
  return {
    NODE_OPTIONS: `--import ${PRELOAD}`,
    FAIL_CALL: call,
    FAIL_AT: String(at),
    FAIL_CODE: code,
    FAIL_BELOW: below,
    ...(lasting ? { FAIL_LASTING: '1' } : {}),
  };
}

/** How many calls of each kind a run makes that meets no fault. */
export async function countCalls(
  below: string,
  play: (env: Record<string, string>) => Promise<Finished>,
): Promise<Record<string, number>> {
  const counts = join(temporaryFolder(), 'counts.json');
  const run = await play({ NODE_OPTIONS: `--import ${PRELOAD}`, FAIL_BELOW: below, FAIL_COUNTS: counts });
  if (run.code !== 0) throw new Error(`the run without a fault failed: ${run.stderr}`);
  return JSON.parse(readFileSync(counts, 'utf8')) as Record<string, number>;
}
