/** Asks Slurm to run the task of this process again: by itself it starts over only what the administrator configured. */

import { execFile } from 'node:child_process';
import { messageOf } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import type { Reporter } from '../types.js';

const TIMEOUT_MS = 30_000;

/** The task as `scontrol` takes it; null outside Slurm. */
export function taskOf(variables: Readonly<Record<string, string | undefined>>): string | null {
  const { SLURM_ARRAY_JOB_ID: array, SLURM_ARRAY_TASK_ID: task, SLURM_JOB_ID: job } = variables;
  const isNumber = (text: string | undefined): text is string =>
    text !== undefined && /^\d{1,12}$/.test(text);
  // The job id of an array's last task is that of the whole array: requeuing it would run all of them again.
  if (isNumber(array) && isNumber(task)) return `${array}_${task}`;
  return isNumber(job) ? job : null;
}

/** Call it once everything is saved: Slurm ends the task at once. */
export async function askAgain(reporter: Reporter): Promise<void> {
  const task = taskOf(process.env);
  if (task === null) return;
  await new Promise<void>((resolve) => {
    execFile('scontrol', ['requeue', task], { timeout: TIMEOUT_MS }, (error, _, stderr) => {
      if (error === null) reporter.info(`Asked Slurm to requeue task ${task}.`);
      else
        reporter.warning(
          `Slurm did not requeue task ${task}: ${sanitize(stderr.trim() === '' ? messageOf(error) : stderr.trim(), 200)}`,
        );
      resolve();
    });
  });
}
