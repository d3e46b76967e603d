/**
 * `stopped.json`: why all workers of a run stop. If a key is refused or the credit is used up, no other worker would
 * fare better, and each would pay for finding out.
 */

import { existsSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../lib/errors.js';
import { replaceFile, readOwnText } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { sanitize } from '../lib/text.js';
import type { StopCause } from '../requests/processor.js';

const LARGEST_BYTES = 1 << 16;

/** What no retry of any worker changes: a person has to act first. */
const FOR_ALL: ReadonlySet<StopCause> = new Set<StopCause>(['key', 'model', 'quota', 'account', 'refused']);

export function stopsAll(cause: StopCause): boolean {
  return FOR_ALL.has(cause);
}

export function stoppedPath(runDir: string): string {
  return join(runDir, 'stopped.json');
}

/** Tells all workers of a run to stop. */
export async function stopAll(runDir: string, message: string): Promise<void> {
  const note = { message, host: hostname(), pid: process.pid, at: new Date().toISOString() };
  await replaceFile(stoppedPath(runDir), (file) => {
    file.write(`${JSON.stringify(note)}\n`);
  });
}

/** The error for a worker of a run that was stopped; null where it was not. */
export function stoppedError(runDir: string): UserError | null {
  const path = stoppedPath(runDir);
  if (!existsSync(path)) return null;
  return new UserError(
    `All workers of this run stopped: ${reasonIn(path)} Once that is fixed, delete ${path} and start them again.`,
  );
}

function reasonIn(path: string): string {
  try {
    const value = parseJson(readOwnText(path, LARGEST_BYTES));
    if (isObject(value) && typeof value['message'] === 'string') return sanitize(value['message'], 1000);
  } catch {
    // Said without a reason.
  }
  return 'a worker found a problem that no retry can fix.';
}

/** Lets workers start again; true where they had been stopped. */
export function restart(runDir: string): boolean {
  const path = stoppedPath(runDir);
  const wasStopped = existsSync(path);
  rmSync(path, { force: true });
  return wasStopped;
}
