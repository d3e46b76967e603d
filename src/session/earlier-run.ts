/** What a run finds in its folders before it starts, and what its flags make of it. */

import { existsSync, statSync } from 'node:fs';
import { UserError } from '../lib/errors.js';
import { DEFAULT_OUTPUT, type RunPolicy } from '../run/settings.js';
import { resolvedPath } from '../run/fingerprint.js';
import { earlierFiles, hasBegun, type RunFolder, type RunPlace } from '../run/folder.js';
import { readIdentity, type RunIdentity } from '../run/identity.js';
import { findRuns, nearestRuns, type KnownRun } from '../run/known-runs.js';
import { sanitize, shellWord } from '../lib/text.js';

/**
 * Settles whether a run starts or resumes.
 * @param earlier what to do about files of an earlier run
 * @returns the files of the earlier run; none where there is no such run
 * @throws UserError where the flags do not fit what is there: nothing is sent by mistake
 */
export function checkEarlierRun(folder: RunFolder, place: RunPlace, earlier: RunPolicy['earlier']): string[] {
  const files = earlierFiles(folder);
  if (earlier !== 'overwrite') refusePlanned(folder);
  switch (earlier) {
    case 'overwrite':
      return files;
    case 'refuse':
      if (files.length > 0) throw existsAlready(folder, files, place.dataset);
      return files;
    case 'resume':
    case 'resume_no_retry':
      if (!hasBegun(folder)) throw nothingToResume(folder, place, earlier);
      refuseLostFiles(folder);
      return files;
  }
}

/** @throws UserError where the run was cut into shards, which hold its answers */
export function refusePlanned(folder: Pick<RunFolder, 'plan' | 'temp'>): void {
  if (!existsSync(folder.plan)) return;
  throw new UserError(
    `${folder.plan} exists: this run was divided into shards, and its plan cannot change. Work on it with npx reannotate work ` +
      `${shellWord(folder.temp)} (its results: npx reannotate merge ${shellWord(folder.temp)}), give another run a name of its ` +
      'own (--run_name NAME), or start over with --overwrite (the old files are kept under another name).',
  );
}

/** The error for a run that exists already, with the ways out. */
function existsAlready(folder: RunFolder, files: readonly string[], dataset: string): UserError {
  const identity = identityOf(folder);
  const other = identity === null ? null : otherDataset(identity, dataset);
  const isOther = other !== null;
  const whose = isOther
    ? `, of another dataset: ${sanitize(other, 200)}`
    : describeRun(folder, files, identity);
  const way = isOther
    ? 'Use --run_name NAME for a separate run'
    : 'Continue it with --resume (failed rows are retried) or --resume_no_retry (they are not)';
  return new UserError(
    `A run already exists in ${folder.temp}${whose}. ${way}, or start over with --overwrite (the old files are kept ` +
      `under another name)${isOther ? '' : '. To keep both, use --run_name NAME'}.`,
  );
}

/** The dataset of a run where it is another one than the command line names; null where it is the same. */
function otherDataset({ asked, source }: RunIdentity, dataset: string): string | null {
  const files = source?.files ?? [];
  const path = files[0]?.path ?? '';
  // A folder, a glob or standard input: only the name is there to compare.
  if (files.length !== 1 || statSync(dataset, { throwIfNoEntry: false })?.isFile() !== true)
    return resolvedPath(asked.dataset) === resolvedPath(dataset) ? null : asked.dataset;
  return path === resolvedPath(dataset) ? null : path;
}

/** ` (--limit 100, finished)` */
function describeRun(folder: RunFolder, files: readonly string[], identity: RunIdentity | null): string {
  if (identity === null) return ` (${files.slice(0, 3).join(', ')}${files.length > 3 ? ', …' : ''})`;
  const { limit } = identity.asked;
  const facts = [
    limit === null ? '' : `--limit ${limit}`,
    existsSync(folder.reannotated) ? 'with results' : 'not finished',
  ].filter((fact) => fact !== '');
  return ` (${facts.join(', ')})`;
}

function identityOf(folder: RunFolder): RunIdentity | null {
  try {
    return readIdentity(folder.run);
  } catch {
    return null;
  }
}

/** The error for `--resume` where no such run exists: a new one would be paid for. */
function nothingToResume(folder: RunFolder, place: RunPlace, flag: string): UserError {
  const { tempDir, dataset, annotator } = place;
  const wanted = { dataset, annotator };
  const nearest = nearestRuns(findRuns([tempDir, DEFAULT_OUTPUT.tempDir]), wanted);
  const listed = nearest.map((run) => describeKnown(run, place));
  const others =
    listed.length === 0
      ? ''
      : ` The nearest existing ${listed.length === 1 ? 'run' : 'runs'}: ${listed.join('; ')}.`;
  return new UserError(
    `Nothing to resume: there is no run in ${folder.temp} or ${folder.save}.${others} To start a new run, leave out ` +
      `--${flag}.`,
  );
}

/** The flags that lead to a run, as far as they differ from those given. */
function describeKnown(run: KnownRun, { saveDir, tempDir }: RunPlace): string {
  const words = ['--dataset', run.dataset, '--annotator', run.annotator];
  if (resolvedPath(run.tempDir) !== resolvedPath(tempDir)) words.push('--temp_dir', run.tempDir);
  if (run.saveDir !== null && resolvedPath(run.saveDir) !== resolvedPath(saveDir))
    words.push('--save_dir', run.saveDir);
  if (run.isNamed) words.push('--run_name', run.name);
  return sanitize(words.map(shellWord).join(' '), 400);
}

/**
 * A run of which only the results are left must not be resumed: every row would be paid for again.
 * @throws UserError
 */
function refuseLostFiles(folder: RunFolder): void {
  const { run, rows, jobs, journal, batches } = folder;
  if ([run, rows, jobs, journal, batches].some((path) => existsSync(path))) return;
  const left = [folder.reannotated, folder.summary].filter((path) => existsSync(path));
  if (left.length === 0) return;
  throw new UserError(
    `The working files of this run are missing from ${folder.temp}, although ${left.join(' and ')} exist: resuming would ` +
      'pay for every row again. Check --temp_dir, restore the folder, or start over with --overwrite (the old files are kept).',
  );
}
