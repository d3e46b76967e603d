/**
 * From options to a run that is ready to be sent: rows with their prompts, jobs, and the journal of earlier answers.
 * A run is resumed from its own files alone, unless a larger `--limit` adds rows to it.
 */

import { existsSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { answerRules, type AnswerRules } from '../models/answer-rules.js';
import { NO_REASON } from '../models/finish-reason.js';
import { openDataset } from '../datasets/index.js';
import { expandHome, STANDARD_INPUT } from '../datasets/local-files.js';
import { redactedDataset } from '../datasets/redacted.js';
import { UserError } from '../lib/errors.js';
import { hasSeveral } from '../models/generation.js';
import { splitsChoices } from '../models/several-answers.js';
import { chooseFormat, type ChosenFormat } from '../formats/index.js';
import type { RunSettings } from './settings.js';
import type { ModelCall } from '../models/call.js';
import type { Console } from '../terminal/progress.js';
import { knownChanges } from '../requests/parameters.js';
import { count, sanitize, plural, shellWord } from '../lib/text.js';
import type { OpenDataset } from '../types.js';
import { columnWarnings, describeColumns } from './columns.js';
import { journalSource, type RunFolder } from './folder.js';
import { fingerprint, isUntouched, type FileFingerprint } from './fingerprint.js';
import {
  identityFlags,
  compareLimits,
  readIdentity,
  refuseChanges,
  writeIdentity,
  type RunIdentity,
} from './identity.js';
import { compareJobs, writeJobs, type RequestShape } from './jobs.js';
import { scanJournal, type JournalIndex, type JournalReport, type ScannedEntry } from './journal.js';
import { indexOfRows } from './parts.js';
import { partsOfRows } from './row-parts.js';
import type { PartialRows } from './partial-lines.js';
import { countRows, writeRows } from './rows.js';
import { checkSource, compareStandardInput } from './source.js';

/** Row-level problems that are shown one by one; the rest is counted. */
const PROBLEMS_SHOWN = 5;
/** Finish reasons that are named. */
const REASONS_SHOWN = 3;

export interface FoundDataset {
  /** As the user names it. */
  name: string;
  dataset: OpenDataset;
  format: ChosenFormat;
}

/** Opens the dataset and decides how its rows become prompts; nothing is written. */
export async function findDataset(
  options: RunSettings,
  console: Console,
  signal: AbortSignal,
): Promise<FoundDataset> {
  const { selection, environment, output } = options;
  const { dataset: name, subset, split, encoding } = selection;
  const request = { dataset: name, subset, split, encoding, workFolder: output.tempDir };
  const opened = await openDataset(request, environment.hub, console, signal);
  const dataset = redactedDataset(opened, environment.redactor);
  const shown = dataset.isStandardInput === true ? 'that comes from standard input' : sanitize(name, 120);
  if (dataset.totalRows === 0) throw new UserError(`The dataset ${shown} has no rows.`);
  if (dataset.totalRows !== null && selection.offset >= dataset.totalRows) {
    throw new UserError(
      `--offset ${selection.offset}: ${sanitize(name, 120)} has only ${plural(dataset.totalRows, 'row')}.`,
    );
  }
  const format = chooseFormat(name, dataset.columns, selection, imageFolders(name, dataset));
  refuseRepeated(name, dataset, format);
  const files = dataset.files?.length ?? 0;
  if (files > 1)
    console.info(`Reading ${plural(files, 'file')} as one dataset, in the order of their names.`);
  console.info(describeColumns(format));
  for (const warning of columnWarnings(format)) console.warning(warning);
  for (const warning of dataset.warnings) console.warning(warning);
  return { name: options.selection.dataset, dataset, format };
}

/** Where the images of a local dataset may be: beside its files. */
function imageFolders(name: string, { files = [], isStandardInput }: OpenDataset): string[] {
  if (isStandardInput === true) return [process.cwd()];
  const [first] = files;
  const folder = expandHome(name);
  return first === undefined
    ? []
    : [
        dirname(first),
        ...(statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true ? [folder] : []),
      ];
}

/** Which of two columns of one name is meant, nobody can tell. */
function refuseRepeated(name: string, { repeatedColumns = [] }: OpenDataset, format: ChosenFormat): void {
  const used = repeatedColumns.filter((column) => format.columns.includes(column));
  if (used.length === 0) return;
  throw new UserError(
    `${sanitize(name, 120)} has several columns called ${used.map((column) => `"${sanitize(column, 60)}"`).join(', ')}. ` +
      'Rename all but one of them in the header, or name other columns with --prompt_column and --response_column.',
  );
}

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
  partialBefore: { reason: string; answers: number } | null;
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
 * @param onEntry called for every answer in the journal that was paid for
 * @throws UserError where the command line asks for something else than the run was started with
 */
export async function prepareRun(
  options: RunSettings,
  preparation: Preparation,
  onEntry: (entry: ScannedEntry) => void,
): Promise<PreparedRun> {
  const { folder, console } = preparation;
  const earlier = readIdentity(folder.run);
  if (earlier !== null) refuseChanges(earlier.asked, identityFlags(options), options.call.given);
  const isWhole = earlier !== null && existsSync(folder.rows);
  const identity = isWhole
    ? await continueRun(options, preparation, earlier)
    : await startRun(options, preparation, earlier);
  if (!existsSync(folder.jobs)) await writeJobsWithProgress(options, folder, console);
  const { total, unusableRows } = await countRows(folder.rows);
  const index = indexOfRows(total, await partsOfRows(options, folder.rows, total));
  for (const row of unusableRows) index.record(row, 'failed', 0, 0, true);
  const report = await readJournal(folder, index, console, {
    several: hasSeveral(options.call.generation),
    rules: await answerRules(options.call),
    onEntry,
  });
  return {
    identity,
    index,
    rows: total,
    unusable: unusableRows.size,
    partialBefore: onlyReason(report.partial, index),
  };
}

/** Of partial answers the one reason, where the journal has no others. */
export function onlyReason(
  partial: readonly PartialRows[],
  index: JournalIndex,
): PreparedRun['partialBefore'] {
  const [only, other] = partial;
  const hasAnswers = index.rows > index.count('pending') + index.count('failed');
  return only === undefined || other !== undefined || hasAnswers
    ? null
    : { reason: only.reason, answers: only.rows };
}

/** A run that has its rows: it keeps them, and a larger limit adds to them. */
async function continueRun(
  options: RunSettings,
  preparation: Preparation,
  earlier: RunIdentity,
): Promise<RunIdentity> {
  const { folder, console } = preparation;
  const { note, isGone } = await checkSource(earlier, options.selection.dataset, folder.temp);
  const { total } = await countRows(folder.rows);
  const { limit } = earlier.asked;
  const growth = compareLimits(limit, options.selection.limit, total, earlier.isGrowing === true);
  if (growth === 'grow') {
    if (isGone) {
      throw new UserError(
        `${sanitize(options.selection.dataset, 200)} no longer exists, so no rows can be added to the ${count(total)} of this run. ` +
          `Finish these with --limit ${total}.`,
      );
    }
    if (note !== null && options.selection.dataset !== STANDARD_INPUT) console.info(note);
    return growRun(options, preparation, earlier, total);
  }
  if (note !== null) console.info(note);
  if (limit === options.selection.limit && earlier.isGrowing !== true) return earlier;
  const identity = settled(earlier, options);
  await writeIdentity(folder.run, identity);
  return identity;
}

/** The identity of a run whose rows are complete for the limit that is asked for. */
function settled(earlier: RunIdentity, options: RunSettings): RunIdentity {
  const identity = { ...earlier, asked: { ...earlier.asked, limit: options.selection.limit } };
  delete identity.isGrowing;
  return identity;
}

/**
 * Adds rows to a run. `run.json` says so first and last, so that a crash at any point leaves a run that either has its
 * old rows, or all of them; jobs are written again from the rows.
 */
async function growRun(
  options: RunSettings,
  preparation: Preparation,
  earlier: RunIdentity,
  rows: number,
): Promise<RunIdentity> {
  const { folder, console, signal } = preparation;
  const asked = options.selection.limit === null ? 'all rows' : `--limit ${count(options.selection.limit)}`;
  console.info(`Extending this run from ${plural(rows, 'row')} to ${asked}.`);
  const found = preparation.found ?? (await findDatasetAgain(options, preparation, rows));
  if (found !== null) {
    refuseOtherRows(earlier, found, rows);
    if (found.dataset.isStandardInput === true)
      await compareStandardInput(earlier, found.dataset.files?.[0] ?? '', folder.temp);
    const growing = { ...settled(earlier, options), isGrowing: true };
    await writeIdentity(folder.run, growing);
    const { offset, limit } = options.selection;
    const selection = { offset: offset + rows, limit: limit === null ? null : limit - rows };
    rmSync(folder.jobs, { force: true });
    await writeRowsWithProgress(found, { ...selection, keep: true }, folder.rows, { console, signal });
  }
  const identity = settled(earlier, options);
  await writeIdentity(folder.run, identity);
  return identity;
}

/** Opens the dataset of a run that is to grow; null where it has no rows beyond those of the run. */
async function findDatasetAgain(
  options: RunSettings,
  { console, signal }: Preparation,
  rows: number,
): Promise<FoundDataset | null> {
  const next = options.selection.offset + rows;
  try {
    const found = await findDataset(options, console, signal);
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

/** @throws UserError where the dataset no longer gives the rows that the run began with */
function refuseOtherRows(earlier: RunIdentity, { dataset, format }: FoundDataset, rows: number): void {
  refuseOtherRevision(
    earlier,
    dataset,
    ` To finish the ${count(rows)} rows of this run alone, use --limit ${rows}.`,
  );
  const { format: name, columns } = earlier.found;
  if (name === format.name && JSON.stringify(columns) === JSON.stringify(format.columns)) return;
  throw new UserError(
    `The rows of this run were read as ${name} (columns ${columns.join(', ')}), and now they would be read as ` +
      `${format.name} (columns ${format.columns.join(', ')}). Name the format and columns with flags, or start ` +
      'another run with --run_name NAME.',
  );
}

function refuseOtherRevision(earlier: RunIdentity, { revision }: OpenDataset, hint = ''): void {
  if (earlier.found.revision === revision) return;
  throw new UserError(
    `The dataset has changed since this run started (revision ${sanitize(earlier.found.revision ?? 'none', 50)}, now ` +
      `${sanitize(revision ?? 'none', 50)}).${hint} Or start over with --overwrite, or another run with --run_name NAME.`,
  );
}

/** A run without rows: new, or killed before it had loaded them, or started by the Python tool. */
async function startRun(
  options: RunSettings,
  preparation: Preparation,
  earlier: RunIdentity | null,
): Promise<RunIdentity> {
  const { folder, fresh, console, signal } = preparation;
  if (earlier !== null) {
    await checkSource(earlier, options.selection.dataset, folder.temp);
    compareLimits(earlier.asked.limit, options.selection.limit, null, false);
  }
  const found = preparation.found ?? (await findDataset(options, console, signal));
  const { dataset, format } = found;
  if (earlier !== null) refuseOtherRevision(earlier, dataset);
  const { revision, subset, split } = dataset;
  const files = await fingerprintsOf(dataset, console);
  const { offset, limit } = options.selection;
  await writeRowsWithProgress(found, { offset, limit, keep: false }, folder.rows, { console, signal });
  refuseTouched(files);
  const identity: RunIdentity = {
    version: 1,
    ...fresh,
    ...(earlier === null ? {} : { uuid: earlier.uuid, created: earlier.created }),
    asked: identityFlags(options),
    found: { revision, subset, split, format: format.name, columns: format.columns },
    source: files === null ? null : { files },
    save_dir: options.output.saveDir,
  };
  // From here on the run is ours; where that cannot be, the Python tool's run stays as it was.
  if (earlier === null && existsSync(folder.jobs)) await takeOver(options, folder, console);
  rmSync(folder.jobs, { force: true });
  await writeIdentity(folder.run, identity);
  return identity;
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
    `${sanitize(touched.path, 200)} changed while it was read. Run the command again once nothing writes to it.`,
  );
}

async function writeJobsWithProgress(
  options: RunSettings,
  folder: RunFolder,
  console: Console,
): Promise<void> {
  const shape = requestShape(options.call);
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

async function takeOver(options: RunSettings, folder: RunFolder, console: Console): Promise<void> {
  await compareJobs(folder.jobs, folder.rows, requestShape(options.call));
  console.info('Taking over a run of the Python tool.');
}

/** The rows of a dataset that are to be written. */
export interface Part {
  offset: number;
  limit: number | null;
  /** Whether they follow the rows that the run has. */
  keep: boolean;
}

/** Writes rows of a dataset to a run's `rows.jsonl`, and says how many cannot be used. */
export async function writeRowsWithProgress(
  { name, dataset, format }: FoundDataset,
  { offset, limit, keep }: Part,
  path: string,
  { console, signal }: { console: Console; signal: AbortSignal },
): Promise<void> {
  const available = dataset.totalRows === null ? null : dataset.totalRows - offset;
  const expected = available === null ? limit : Math.min(available, limit ?? available);
  let loaded = 0;
  let problems = 0;
  const endProgress = console.showProgress(
    () => `Loading rows: ${count(loaded)}${expected === null ? '' : ` of ${count(expected)}`}`,
  );
  const onProblem = (row: number, problem: string): void => {
    problems += 1;
    if (problems <= PROBLEMS_SHOWN)
      console.warning(problem.startsWith('row ') ? `Skipped ${problem}` : `Skipped row ${row}: ${problem}`);
  };
  try {
    const rows = dataset.rows({ columns: format.columns, offset, limit, signal });
    const onProgress = (done: number): void => {
      loaded = done;
    };
    const counts = await writeRows(path, rows, { format, keep, onProblem, onProgress });
    if (counts.total === 0 && !keep) {
      rmSync(path, { force: true });
      throw new UserError(
        `The dataset ${sanitize(name, 120)} has no rows${offset > 0 ? ` from --offset ${offset} on` : ''}.`,
      );
    }
    if (problems > PROBLEMS_SHOWN) console.warning(`${plural(problems, 'row')} cannot be used in total.`);
    console.info(`Loaded ${plural(counts.total, 'row')} of ${sanitize(name, 120)}.`);
  } finally {
    endProgress();
  }
}

/** How a journal is read. */
interface JournalReading {
  /** True where every line is to be parsed. */
  several: boolean;
  /** Which answers count as whole. */
  rules: AnswerRules;
  /** Called for every answer that was paid for. */
  onEntry: (entry: ScannedEntry) => void;
}

/** Reads a journal into an index, and reports lines that cannot be read. */
export async function readJournal(
  folder: Pick<RunFolder, 'journal' | 'segments'>,
  index: JournalIndex,
  console: Console,
  { several, rules, onEntry }: JournalReading,
): Promise<JournalReport> {
  const report = await scanJournal(journalSource(folder), index, several, onEntry, rules);
  if (report.tornBytes > 0 && folder.segments === undefined)
    console.warning(`Cut a torn last line of ${report.tornBytes} bytes off ${folder.journal}.`);
  if (report.damaged > 0) {
    console.warning(
      `${plural(report.damaged, 'line')} of ${folder.journal} cannot be read; their rows are sent again.`,
    );
  }
  if (report.foreign > 0) {
    console.warning(
      `${plural(report.foreign, 'line')} of ${folder.journal} belong to rows that this run does not have.`,
    );
  }
  const [most] = report.partial;
  if (most !== undefined) console.warning(describePartial(report.partial, folder.journal));
  return report;
}

function describePartial(partial: readonly PartialRows[], journal: string): string {
  const rows = partial.reduce((sum, one) => sum + one.rows, 0);
  const name = (reason: string): string =>
    reason === NO_REASON ? 'no finish reason' : `finish reason “${sanitize(reason, 60)}”`;
  const listed = partial.slice(0, REASONS_SHOWN).map((one) => `${count(one.rows)} with ${name(one.reason)}`);
  const [most] = partial;
  return (
    `${plural(rows, 'answer')} of ${journal} may be incomplete (${listed.join(', ')}), so these rows are not done. If this ` +
    `server ends whole answers like this, add --accept_finish_reason ${shellWord(sanitize(most?.reason ?? NO_REASON, 60))}.`
  );
}
