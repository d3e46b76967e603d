/** The scripts that Slurm runs for a planned run. They hold no key: tasks get the environment of `sbatch`. */

import { UsageError } from '../lib/errors.js';
import { sanitize, shellWord } from '../lib/text.js';
import { ranges } from './ranges.js';

/** Seconds before a time limit at which Slurm signals a worker to drain; Slurm may be 30 s early, and draining takes 30 s. */
const WARNING_S = 120;

export interface SlurmOptions {
  /** Absolute. */
  runDir: string;
  /** The program: Node and the file that it runs, both absolute. */
  program: readonly string[];
  /** Shards that are not done, in order. */
  shards: readonly number[];
  /** Tasks that run at the same time at most; null for no limit. */
  atOnce: number | null;
  /** Indices that an array can have (`MaxArraySize`). */
  arraySize: number;
  /** States whose rows are sent again. */
  retry: readonly string[];
  /** More options for sbatch, such as `--partition=gpu`. */
  extra: readonly string[];
}

/** Tasks of an array whose tasks take open shards, where nobody says how many. */
const USUAL_TASKS = 100;

/**
 * The job array: a task for each shard, or, where their numbers are too high for an array, tasks that take open ones.
 * `exec` leaves no shell behind that would get the signals; `--requeue` lets Slurm run a task again whose node is lost.
 */
export function arrayScript(options: SlurmOptions): string {
  const { runDir, program, shards, atOnce, arraySize, retry, extra } = options;
  const fits = (shards.at(-1) ?? 0) < arraySize;
  const tasks = Math.min(atOnce ?? USUAL_TASKS, arraySize, shards.length);
  const limit = atOnce === null || !fits ? '' : `%${atOnce}`;
  const array = fits ? `${ranges(shards)}${limit}` : `0-${tasks - 1}`;
  const flags = [
    ...(fits ? [] : ['--any_shard']),
    ...(retry.length === 0 ? [] : ['--retry', retry.join(',')]),
  ];
  const command = [...program, 'work', runDir, '--requeue', ...flags];
  return script(
    [
      '--job-name=reannotate',
      `--array=${array}`,
      '--requeue',
      '--open-mode=append',
      `--signal=B:USR2@${WARNING_S}`,
      `--output=${logPath(runDir, '%A_%a.log')}`,
      ...extra.map(checkOption),
    ],
    command,
  );
}

/** The job that merges once the array has ended, however it ended: `merge` says what is missing. */
export function mergeScript({
  runDir,
  program,
  extra,
}: Pick<SlurmOptions, 'runDir' | 'program' | 'extra'>): string {
  return script(
    ['--job-name=reannotate-merge', `--output=${logPath(runDir, 'merge_%j.log')}`, ...extra.map(checkOption)],
    [...program, 'merge', runDir],
  );
}

function script(options: readonly string[], command: readonly string[]): string {
  const lines = ['#!/bin/bash', ...options.map((option) => `#SBATCH ${option}`)];
  return `${[...lines, '', `exec ${command.map(shellWord).join(' ')}`].join('\n')}\n`;
}

/** A pattern for Slurm, in which a literal `%` is doubled. */
function logPath(runDir: string, name: string): string {
  if (/["\\\n\r]/.test(runDir))
    throw new UsageError(
      `${sanitize(runDir, 200)} has a quote, backslash or line end in its path, which Slurm cannot take.`,
    );
  return `"${runDir.replaceAll('%', '%%')}/slurm/${name}"`;
}

/** An option for sbatch: one word, so that it is nothing but an option. */
export function checkOption(option: string): string {
  if (/^--?[a-zA-Z][\w-]*(?:[= ][\w.,:@%+/[\]()*=-]+)?$/.test(option)) return option;
  throw new UsageError(
    `--sbatch takes an option of sbatch such as --partition=gpu, not ${sanitize(option, 80)}; write longer ones into the script.`,
  );
}
