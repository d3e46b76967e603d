/** The two folders of a run and the files in them: where everything is, and nothing else. */

import { createHash } from 'node:crypto';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.js';
import { exportFiles } from '../exports/index.js';
import { fileProblem, makeFolder } from '../files.js';

/** File systems take names of 255 bytes; something is left for suffixes. */
const LONGEST_NAME_BYTES = 220;

/** Controls, and what reorders or hides the characters around it. */
const MISLEADING = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * The name that both folders of a run carry: `<dataset>_<annotator>` with every `/` as `_`. Whatever could point
 * outside the parent folder, that a file system refuses, or that a terminal would show as something else becomes `_`
 * as well.
 */
export function runName(dataset: string, annotator: string): string {
  const forbidden = process.platform === 'win32' ? /[/\\:*?"<>|]/g : /\//g;
  const name = `${dataset}_${annotator}`.replace(forbidden, '_').replace(MISLEADING, '_').toWellFormed();
  if (Buffer.byteLength(name) <= LONGEST_NAME_BYTES) return name;
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 12);
  let start = name.slice(0, LONGEST_NAME_BYTES - digest.length - 1);
  while (Buffer.byteLength(start) > LONGEST_NAME_BYTES - digest.length - 1) start = start.slice(0, -1);
  return `${start.toWellFormed()}_${digest}`;
}

export interface RunFolder {
  name: string;
  save: string;
  temp: string;
  reannotated: string;
  failedRows: string;
  summary: string;
  config: string;
  batchObjects: string;
  judgements: string;
  run: string;
  rows: string;
  jobs: string;
  journal: string;
  batches: string;
  downloads: string;
  counters: string;
  judge: string;
  log: string;
}

/** The paths of a run's files; nothing is made yet. */
export function runFolder(saveDir: string, tempDir: string, name: string): RunFolder {
  const save = join(saveDir, name);
  const temp = join(tempDir, name);
  return {
    name,
    save,
    temp,
    reannotated: join(save, 'reannotated.json'),
    failedRows: join(save, 'failed_rows.jsonl'),
    summary: join(save, 'summary.json'),
    config: join(save, 'config.yaml'),
    batchObjects: join(save, 'batch_objects.json'),
    judgements: join(save, 'judgements.jsonl'),
    run: join(temp, 'run.json'),
    rows: join(temp, 'rows.jsonl'),
    jobs: join(temp, 'jobs.json'),
    journal: join(temp, 'output.jsonl'),
    batches: join(temp, 'batches.json'),
    downloads: join(temp, 'downloads'),
    counters: join(temp, 'counters.json'),
    judge: join(temp, 'judge'),
    log: join(temp, 'output.log'),
  };
}

/** Files of an earlier run that a new one would destroy or mix with its own. */
export function earlierFiles(folder: RunFolder): string[] {
  const { run, rows, jobs, journal, batches, reannotated, batchObjects } = folder;
  const files = [run, rows, jobs, journal, batches, reannotated, batchObjects, ...exportFiles(folder.save)];
  return files.filter((path) => existsSync(path));
}

/** The error for a run that exists already, with the three ways out. */
export function existsAlready(files: readonly string[]): UserError {
  return new UserError(
    `An earlier run left ${files.join(', ')}. Go on with it with --resume (failed rows are tried again), or with ` +
      '--resume_no_retry (they stay failed), or start anew with --overwrite (its files are moved aside).',
  );
}

/**
 * Moves the folders of an earlier run aside, under a name with the time; nothing is deleted.
 * @returns the new paths
 */
export function moveAside(folder: RunFolder, now: Date): string[] {
  const stamp = now.toISOString().replace(/[:.]/g, '-');
  const moved: string[] = [];
  for (const path of [folder.save, folder.temp]) {
    if (!existsSync(path)) continue;
    let aside = `${path}.${stamp}`;
    for (let count = 2; existsSync(aside); count++) aside = `${path}.${stamp}.${count}`;
    try {
      renameSync(path, aside);
    } catch (error) {
      throw fileProblem(error, `move ${path} aside`);
    }
    makeFolder(path);
    moved.push(aside);
  }
  return moved;
}
