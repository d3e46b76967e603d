/**
 * From options to a run that is ready to be sent: rows with their prompts, jobs, and the journal of earlier answers.
 * A run is resumed from its own files alone, unless a larger `--limit` adds rows to it.
 */

import { existsSync, rmSync } from 'node:fs';
import { STANDARD_INPUT } from '../datasets/local-files.js';
import type { DatasetSelection } from '../datasets/selection.js';
import { UserError } from '../lib/errors.js';
import { count, plural, sanitize } from '../lib/text.js';
import { answerRules } from '../models/answer-rules.js';
import type { ModelCall } from '../models/call.js';
import { splitsChoices } from '../models/several-answers.js';
import { knownChanges } from '../requests/parameters.js';
import type { Console } from '../terminal/progress.js';
import type { OpenDataset } from '../types.js';
import { findDataset, writeRowsWithProgress, type FoundDataset } from './find-dataset.js';
import { fingerprint, isUntouched, type FileFingerprint } from './fingerprint.js';
import type { RunFolder } from './folder.js';
import {
  identityFlags,
  compareLimits,
  readIdentity,
  refuseChanges,
  writeIdentity,
  type IdentityFlags,
  type RunIdentity,
} from './identity.js';
import { compareJobs, writeJobs, type RequestShape } from './jobs.js';
import type { JournalIndex, ScannedEntry } from './journal.js';
import { onlyReason, readJournal, type PartialBefore } from './read-journal.js';
import { indexRows } from './row-parts.js';
import { countRows, type RowCounts } from './rows.js';
import { firstOtherRequest } from './same-requests.js';
import type { RunSettings } from './settings.js';
import { checkSource, compareStandardInput } from './source.js';

/** What all requests of this run have in common. */
export function requestShape(call: ModelCall): RequestShape {
  const { provider, model } = call.annotator;
  return {
    model,
    // Where each answer is requested on its own, no request has an `n`.
    generation: splitsChoices(call) ? { ...call.generation, n: null } : call.generation,
    given: call.given,
    provider,
    changes: knownChanges(model, provider),
  };
}

export interface PreparedRun {
  identity: RunIdentity;
  index: JournalIndex;
  rows: number;
  /** Answers that all end with one unknown reason, where the journal has no others. */
  partialBefore: PartialBefore | null;
  /** Rows that cannot be used, so that there is no request for them. */
  unusable: number;
}

/** What preparing a run needs besides its options. */
export interface Preparation {
  folder: RunFolder;
  fresh: Pick<RunIdentity, 'uuid' | 'created'>;
  /** The dataset where it is open already; otherwise it is opened only if rows are missing. */
  found: FoundDataset | null;
  console: Console;
  signal: AbortSignal;
}

/**
 * Makes or finds `run.json`, `rows.jsonl` and `jobs.json`, and reads the journal.
 * @param onEntry called for every paid answer in the journal
 * @throws UserError where the command line asks for something else than the run was started with
 */
export async function prepareRun(
  settings: RunSettings,
  preparation: Preparation,
  onEntry: (entry: ScannedEntry) => void,
): Promise<PreparedRun> {
  const { selection, call, output } = settings;
  const { folder, console } = preparation;
  const shape = requestShape(call);
  const earlier = readIdentity(folder.run);
  const asked = identityFlags(settings);
  if (earlier !== null) refuseChanges(earlier.asked, asked, call.given);
  const find = async (): Promise<FoundDataset> =>
    preparation.found ?? findDataset(settings, console, preparation.signal);
  const wanted = { selection, find };
  const { identity, counts } =
    earlier !== null && existsSync(folder.rows)
      ? await continueRun(wanted, preparation, earlier)
      : await startRun({ ...wanted, asked, shape, saveDir: output.saveDir }, preparation, earlier);
  if (!existsSync(folder.jobs)) await writeJobsWithProgress(shape, folder, console);
  const index = await indexRows(folder.rows, counts, settings);
  const report = await readJournal(folder, index, console, {
    rules: await answerRules(call),
    onEntry,
  });
  return {
    identity,
    index,
    rows: index.rows,
    unusable: counts.unusable.length,
    partialBefore: onlyReason(report.partial, index),
  };
}

/** The rows that a run is to have. */
interface WantedRows {
  selection: DatasetSelection;
  /** Opens their dataset, where it is not open yet. */
  find: () => Promise<FoundDataset>;
}

/** A run whose `rows.jsonl` is complete. */
interface RunRows {
  identity: RunIdentity;
  /** So that the file is not read only to count them. */
  counts: RowCounts;
}

/** A run that has its rows: it keeps them, and a larger limit adds to them. */
async function continueRun(
  wanted: WantedRows,
  preparation: Preparation,
  earlier: RunIdentity,
): Promise<RunRows> {
  const { selection } = wanted;
  const { folder, console } = preparation;
  const { note, isGone } = await checkSource(earlier, selection.dataset, folder.temp);
  const counts = await countRows(folder.rows);
  const { total } = counts;
  const { limit } = earlier.asked;
  const growth = compareLimits(limit, selection.limit, total, earlier.isGrowing === true);
  if (growth === 'grow') {
    if (isGone) {
      throw new UserError(
        `${sanitize(selection.dataset, 200)} no longer exists, so no rows can be added to the ${count(total)} of this run. ` +
          `Finish these with --limit ${total}.`,
      );
    }
    if (note !== null && selection.dataset !== STANDARD_INPUT) console.info(note);
    return growRun(wanted, preparation, earlier, total);
  }
  if (note !== null) console.info(note);
  if (limit === selection.limit && earlier.isGrowing !== true) return { identity: earlier, counts };
  return { identity: await settle(earlier, selection.limit, folder.run), counts };
}

/** The identity of a run whose rows are complete for the limit that is asked for. */
function settled(earlier: RunIdentity, limit: number | null): RunIdentity {
  const identity = { ...earlier, asked: { ...earlier.asked, limit } };
  delete identity.isGrowing;
  return identity;
}

/**
 * Adds rows to a run. `run.json` says so first and last, so that a crash at any point leaves a run that either has its
 * old rows, or all of them; jobs are written again from the rows.
 */
async function growRun(
  wanted: WantedRows,
  preparation: Preparation,
  earlier: RunIdentity,
  rows: number,
): Promise<RunRows> {
  const { folder, console, signal } = preparation;
  const { offset, limit } = wanted.selection;
  const asked = limit === null ? 'all rows' : `--limit ${count(limit)}`;
  console.info(`Extending this run from ${plural(rows, 'row')} to ${asked}.`);
  const found = await findFurtherRows(wanted, preparation.found, rows);
  if (found !== null) {
    const read = await readingOf(earlier, found, { rows, offset, path: folder.rows, signal });
    if (found.dataset.isStandardInput === true)
      await compareStandardInput(earlier, found.dataset.files?.[0] ?? '', folder.temp);
    const growing = { ...settled(earlier, limit), found: read, isGrowing: true };
    await writeIdentity(folder.run, growing);
    const selection = { offset: offset + rows, limit: limit === null ? null : limit - rows };
    rmSync(folder.jobs, { force: true });
    await writeRowsWithProgress(found, { ...selection, keep: true }, folder.rows, { console, signal });
    return grown({ ...earlier, found: read }, limit, folder);
  }
  return grown(earlier, limit, folder);
}

async function grown(earlier: RunIdentity, limit: number | null, folder: RunFolder): Promise<RunRows> {
  return { identity: await settle(earlier, limit, folder.run), counts: await countRows(folder.rows) };
}

/** Writes that the run has all rows of a limit. */
async function settle(earlier: RunIdentity, limit: number | null, path: string): Promise<RunIdentity> {
  const identity = settled(earlier, limit);
  await writeIdentity(path, identity);
  return identity;
}

/** Opens the dataset of a run that is to grow; null where it has no rows beyond those of the run. */
async function findFurtherRows(
  { selection, find }: WantedRows,
  open: FoundDataset | null,
  rows: number,
): Promise<FoundDataset | null> {
  if (open !== null) return open;
  const next = selection.offset + rows;
  try {
    const found = await find();
    const { totalRows } = found.dataset;
    return totalRows !== null && totalRows <= next ? null : found;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `No rows can be added to the ${count(rows)} of this run: ${error.message} To finish these alone, use --limit ${rows}.`,
      error.exitCode,
      { cause: error },
    );
  }
}

/** The rows that a run has, and where. */
interface OwnRows {
  rows: number;
  offset: number;
  /** Of `rows.jsonl`. */
  path: string;
  signal: AbortSignal;
}

/**
 * How the rows of a run that is to grow are read from now on. Another version of this program may find other columns, such
 * as the answers beside a chat: that is fine as long as the requests are the same.
 * @throws UserError where the dataset no longer gives the requests that the run began with
 */
async function readingOf(
  earlier: RunIdentity,
  { dataset, format }: FoundDataset,
  { rows, offset, path, signal }: OwnRows,
): Promise<RunIdentity['found']> {
  const onlyThese = ` To finish the ${plural(rows, 'row')} of this run alone, use --limit ${rows}.`;
  refuseOtherRevision(earlier, dataset, onlyThese);
  const { format: name, columns } = earlier.found;
  if (name === format.name && JSON.stringify(columns) === JSON.stringify(format.columns))
    return earlier.found;
  const own = dataset.rows({ columns: format.columns, offset, limit: rows, signal });
  const other = await firstOtherRequest(path, own, format);
  if (other === null) return { ...earlier.found, format: format.name, columns: format.columns };
  throw new UserError(
    `The rows of this run were read as ${name} (columns ${columns.join(', ')}). Now they would be read as ${format.name} ` +
      `(columns ${format.columns.join(', ')}), and row ${count(other)} would become another request. Set the format and the ` +
      `columns with flags, or start another run with --run_name NAME.${onlyThese}`,
  );
}

function refuseOtherRevision(earlier: RunIdentity, { revision }: OpenDataset, hint = ''): void {
  if (earlier.found.revision === revision) return;
  throw new UserError(
    `The dataset has changed since this run started (revision ${sanitize(earlier.found.revision ?? 'none', 50)}, now ` +
      `${sanitize(revision ?? 'none', 50)}).${hint} Or start over with --overwrite, or another run with --run_name NAME.`,
  );
}

/** A run that is to get its rows, and what its requests have in common. */
interface NewRun extends WantedRows {
  asked: IdentityFlags;
  shape: RequestShape;
  saveDir: string;
}

/** A run without rows: new, or killed before it had loaded them, or started by the Python tool. */
async function startRun(
  { selection, find, asked, shape, saveDir }: NewRun,
  { folder, fresh, console, signal }: Preparation,
  earlier: RunIdentity | null,
): Promise<RunRows> {
  if (earlier !== null) {
    await checkSource(earlier, selection.dataset, folder.temp);
    compareLimits(earlier.asked.limit, selection.limit, null, false);
  }
  const found = await find();
  const { dataset, format } = found;
  if (earlier !== null) refuseOtherRevision(earlier, dataset);
  const { revision, subset, split } = dataset;
  const files = await fingerprintsOf(dataset, console);
  const { offset, limit } = selection;
  const part = { offset, limit, keep: false };
  const counts = await writeRowsWithProgress(found, part, folder.rows, { console, signal });
  refuseTouched(files);
  const identity: RunIdentity = {
    version: 1,
    ...fresh,
    ...(earlier === null ? {} : { uuid: earlier.uuid, created: earlier.created }),
    asked,
    found: { revision, subset, split, format: format.name, columns: format.columns },
    source: files === null ? null : { files },
    save_dir: saveDir,
  };
  // From here on the run is ours; where that cannot be, the Python tool's run stays as it was.
  if (earlier === null && existsSync(folder.jobs)) await takeOver(shape, folder, console);
  rmSync(folder.jobs, { force: true });
  await writeIdentity(folder.run, identity);
  return { identity, counts };
}

/** What the files of a local dataset hold; null for a dataset of the Hub. */
async function fingerprintsOf(dataset: OpenDataset, console: Console): Promise<FileFingerprint[] | null> {
  if (dataset.files === undefined) return null;
  if (dataset.isStandardInput === true) {
    const kept = await fingerprint(dataset.files[0] ?? '');
    return [{ ...kept, path: STANDARD_INPUT, mtime: 0 }];
  }
  const taken: FileFingerprint[] = [];
  const total = dataset.files.length;
  const endProgress = console.showProgress(() => `Reading files: ${count(taken.length)} of ${count(total)}`);
  try {
    for (const path of dataset.files) taken.push(await fingerprint(path));
  } finally {
    endProgress();
  }
  return taken;
}

/** @throws UserError where a file was written to while its rows were read */
function refuseTouched(files: readonly FileFingerprint[] | null): void {
  const touched = files?.find((file) => file.path !== STANDARD_INPUT && !isUntouched(file));
  if (touched === undefined) return;
  throw new UserError(
    `${sanitize(touched.path, 200)} changed while it was being read. Run the command again when nothing writes to it.`,
  );
}

async function writeJobsWithProgress(
  shape: RequestShape,
  folder: RunFolder,
  console: Console,
): Promise<void> {
  for (const { parameter, renamed_to: name, reason } of shape.changes)
    if (name === null && shape.given.has(parameter))
      console.warning(`--${parameter} is not sent: ${reason}.`);
  let done = 0;
  const endProgress = console.showProgress(() => `Writing jobs: ${count(done)}`);
  let jobs: number;
  try {
    jobs = await writeJobs(folder.rows, folder.jobs, shape, (rows) => {
      done = rows;
    });
  } finally {
    endProgress();
  }
  console.info(`Wrote ${plural(jobs, 'job')} to ${folder.jobs}.`);
}

async function takeOver(shape: RequestShape, folder: RunFolder, console: Console): Promise<void> {
  await compareJobs(folder.jobs, folder.rows, shape);
  console.info('Resuming a run of the Python tool.');
}
