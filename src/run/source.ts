/** Whether a run still belongs to the dataset that the command line names. */

import { statSync } from 'node:fs';
import { localFiles } from '../datasets/index.js';
import { isLocalName, STANDARD_INPUT } from '../datasets/local-files.js';
import { UserError } from '../lib/errors.js';
import { count, sanitize, plural, shellWord } from '../lib/text.js';
import { compareFile, resolvedPath, type FileChange, type FileFingerprint } from './fingerprint.js';
import type { RunIdentity } from './identity.js';

/** What a comparison found that does not stop the run; null for nothing. */
type Note = string | null;

/** Why the run's rows can no longer be read from its dataset, though it can finish without; null where they can. */
export interface SourceCheck {
  note: Note;
  isGone: boolean;
}

/**
 * Compares a run's dataset with the one that the command line names.
 * @param folder of the run's working files, for messages
 * @throws UserError where a file has changed since the run started, or is another one
 */
export async function checkSource(
  earlier: Pick<RunIdentity, 'asked' | 'source'>,
  dataset: string,
  folder: string,
): Promise<SourceCheck> {
  const before = earlier.source?.files ?? [];
  const files = await localFiles(dataset, earlier.asked.split);
  const isSame = isSameName(earlier.asked.dataset, dataset);
  if (dataset === STANDARD_INPUT && isSame) {
    return { note: 'Standard input is not read: this run has its own copy of the rows.', isGone: false };
  }
  if (before.length === 0) {
    // A Hub dataset, or a run of an earlier version: only the name is known.
    if (!isSame) throw otherName(earlier.asked.dataset, dataset, folder);
    return { note: null, isGone: files?.every((path) => !exists(path)) ?? false };
  }
  if (files === null || files.every((path) => !exists(path))) {
    if (!isSame && resolvedPath(dataset) !== before[0]?.path)
      throw otherName(earlier.asked.dataset, dataset, folder);
    const note = `${sanitize(dataset, 200)} no longer exists. This run has its own copy of the rows and continues without it.`;
    return { note, isGone: true };
  }
  return { note: await compareFiles(before, files, folder), isGone: false };
}

/** @throws UserError that says what differs */
async function compareFiles(
  before: readonly FileFingerprint[],
  files: readonly string[],
  folder: string,
): Promise<Note> {
  const isMoved = files.some((path, index) => resolvedPath(path) !== before[index]?.path);
  if (before.length !== files.length) throw otherFiles(before, files, folder);
  let moved: Note = null;
  for (const [index, earlier] of before.entries()) {
    const path = files[index] ?? '';
    const change = await compareFile(earlier, path);
    if (change.kind === 'same') {
      if (isMoved)
        moved = `This run started with ${sanitize(earlier.path, 200)}; ${sanitize(path, 200)} has the same content.`;
      continue;
    }
    throw resolvedPath(path) === earlier.path
      ? changed(earlier, path, change, folder)
      : otherContent(earlier, path, change, folder);
  }
  return moved;
}

function changed(earlier: FileFingerprint, path: string, change: FileChange, folder: string): UserError {
  return new UserError(
    `${sanitize(path, 200)} has changed since this run started: ${describeChange(earlier, path, change)}. Restore the ` +
      'earlier file to resume this run, or give the new one a run of its own with --run_name NAME, where --reuse takes ' +
      `over the answers of this one: --run_name NAME --reuse ${shellWord(sanitize(folder, 200))}.`,
  );
}

function otherContent(earlier: FileFingerprint, path: string, change: FileChange, folder: string): UserError {
  return new UserError(
    `${folder} holds a run of another file, ${sanitize(earlier.path, 200)}. ${sanitize(resolvedPath(path), 200)} differs: ` +
      `${describeChange(earlier, path, change)}. Give it a run of its own with --run_name NAME.`,
  );
}

function describeChange(earlier: FileFingerprint, path: string, change: FileChange): string {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  switch (change.kind) {
    case 'gone':
      return 'it no longer exists';
    case 'appended':
      return `${plural(change.bytes, 'byte')} of rows were appended, and the first ${count(earlier.size)} bytes are unchanged`;
    case 'edited':
    case 'same':
      return size === earlier.size
        ? `its content is different, at the same size of ${plural(size, 'byte')}`
        : `its content is different (${plural(earlier.size, 'byte')} then, ${count(size)} now)`;
  }
}

function otherFiles(before: readonly FileFingerprint[], files: readonly string[], folder: string): UserError {
  const then = new Set(before.map(({ path }) => path));
  const now = new Set(files.map(resolvedPath));
  const listed = (title: string, paths: readonly string[]): string =>
    paths.length === 0
      ? ''
      : ` ${title}: ${paths
          .slice(0, 3)
          .map((path) => sanitize(path, 120))
          .join(', ')}${paths.length > 3 ? ', …' : ''}.`;
  return new UserError(
    `The run in ${folder} was started with ${plural(before.length, 'file')}, and --dataset now has ${count(files.length)}.` +
      listed(
        'New',
        [...now].filter((path) => !then.has(path)),
      ) +
      listed(
        'Missing',
        [...then].filter((path) => !now.has(path)),
      ) +
      ' Restore the earlier files to resume this run, or give the new ones a run of their own with --run_name NAME.',
  );
}

function otherName(earlier: string, now: string, folder: string): UserError {
  return new UserError(
    `${folder} holds a run of ${sanitize(earlier, 200)}, not of ${sanitize(now, 200)}. To resume that run, use ` +
      `--dataset ${sanitize(earlier, 200)}. Give this dataset a run of its own with --run_name NAME.`,
  );
}

function isSameName(earlier: string, now: string): boolean {
  if (earlier === now) return true;
  if (earlier === STANDARD_INPUT || now === STANDARD_INPUT) return false;
  return resolvedPath(earlier) === resolvedPath(now) && isLocalName(earlier) && isLocalName(now);
}

/**
 * Makes sure that standard input brings the rows again that a run began with.
 * @param path where it was kept
 */
export async function compareStandardInput(
  { source }: Pick<RunIdentity, 'source'>,
  path: string,
  folder: string,
): Promise<void> {
  const before = source?.files[0];
  if (before === undefined) return;
  const change = await compareFile({ ...before, path: resolvedPath(path) }, path);
  if (change.kind !== 'same' && change.kind !== 'appended') {
    throw new UserError(
      `Standard input differs from what the run in ${folder} began with: ${describeChange(before, path, change)}. Give it a ` +
        'run of its own with --run_name NAME.',
    );
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
