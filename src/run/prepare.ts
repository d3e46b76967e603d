/**
 * From options to a run that is ready to be asked: rows with their prompts, jobs, and the journal of what was
 * answered before. An earlier run is gone on with from its own files alone.
 */

import { existsSync, rmSync } from 'node:fs';
import { openDataset } from '../datasets/index.js';
import { UserError } from '../errors.js';
import { chooseFormat, type ChosenFormat } from '../formats/index.js';
import type { RunOptions } from '../options.js';
import type { Console } from '../progress.js';
import { knownChanges } from '../requests/parameters.js';
import { count, inert, plural } from '../text.js';
import type { OpenDataset } from '../types.js';
import type { RunFolder } from './folder.js';
import { askedFor, readIdentity, refuseChanges, writeIdentity, type RunIdentity } from './identity.js';
import { compareJobs, writeJobs, type RequestShape } from './jobs.js';
import { JournalIndex, scanJournal, type ScannedEntry } from './journal.js';
import { countRows, writeRows } from './rows.js';

/** Row-level problems that are told one by one; the rest is counted. */
const PROBLEMS_SHOWN = 5;

export interface FoundDataset {
  dataset: OpenDataset;
  format: ChosenFormat;
}

/** Opens the dataset and settles how its rows become prompts; nothing is written. */
export async function findDataset(
  options: RunOptions,
  console: Console,
  signal: AbortSignal,
): Promise<FoundDataset> {
  const { dataset: name, subset, split, encoding, environment } = options;
  const request = { dataset: name, subset, split, encoding };
  const dataset = await openDataset(request, environment.hub, console, signal);
  if (dataset.totalRows === 0) throw new UserError(`The dataset ${inert(name, 120)} has no rows.`);
  if (dataset.totalRows !== null && options.offset >= dataset.totalRows) {
    throw new UserError(
      `--offset ${options.offset}: ${inert(name, 120)} has only ${plural(dataset.totalRows, 'row')}.`,
    );
  }
  const format = chooseFormat(name, dataset.columns, options);
  refuseRepeated(name, dataset, format);
  const { prompt, response } = format.roles;
  console.info(
    `Format ${format.name}: prompts from "${inert(prompt, 60)}", original answers from ` +
      `${response === null ? `"${inert(prompt, 60)}"` : `"${inert(response, 60)}"`}.`,
  );
  for (const warning of dataset.warnings) console.warning(warning);
  return { dataset, format };
}

/** Which of two columns of one name is meant, nobody can tell. */
function refuseRepeated(name: string, { repeatedColumns = [] }: OpenDataset, format: ChosenFormat): void {
  const used = repeatedColumns.filter((column) => format.columns.includes(column));
  if (used.length === 0) return;
  throw new UserError(
    `${inert(name, 120)} has several columns called ${used.map((column) => `"${inert(column, 60)}"`).join(', ')}. ` +
      'Rename all but one of them in the header, or name other columns with --prompt_column and --response_column.',
  );
}

/** What all requests of this run have in common. */
export function requestShape(options: RunOptions): RequestShape {
  const { provider, model } = options.annotator;
  return {
    model,
    generation: options.generation,
    provider,
    changes: knownChanges(model, provider.renames),
  };
}

export interface PreparedRun {
  identity: RunIdentity;
  index: JournalIndex;
  rows: number;
}

/**
 * Makes or finds `run.json`, `rows.jsonl` and `jobs.json`, and reads the journal.
 * @param found the dataset where it was opened already; it is opened only if rows are missing
 * @param onEntry called for every line of the journal that counts
 */
export async function prepareRun(
  options: RunOptions,
  folder: RunFolder,
  fresh: Pick<RunIdentity, 'uuid' | 'created'>,
  found: FoundDataset | null,
  console: Console,
  signal: AbortSignal,
  onEntry: (entry: ScannedEntry) => void,
): Promise<PreparedRun> {
  const earlier = readIdentity(folder.run);
  if (earlier !== null) refuseChanges(earlier.asked, askedFor(options));
  let identity = earlier;
  if (identity === null || !existsSync(folder.rows)) {
    const opened = found ?? (await findDataset(options, console, signal));
    identity = await loadRows(options, folder, earlier, fresh, opened, console, signal);
  }
  if (!existsSync(folder.jobs)) {
    await writeJobsWithProgress(options, folder, console);
  }
  const { total, unusableRows } = await countRows(folder.rows);
  const index = new JournalIndex(total);
  for (const row of unusableRows) index.record(row, 'failed', 0, 0, true);
  await readJournal(folder, index, options.generation.n > 1, console, onEntry);
  return { identity, index, rows: total };
}

async function loadRows(
  options: RunOptions,
  folder: RunFolder,
  earlier: RunIdentity | null,
  fresh: Pick<RunIdentity, 'uuid' | 'created'>,
  { dataset, format }: FoundDataset,
  console: Console,
  signal: AbortSignal,
): Promise<RunIdentity> {
  const { revision, subset, split } = dataset;
  if (earlier !== null && earlier.found.revision !== revision) {
    throw new UserError(
      `The dataset changed since this run began (revision ${inert(earlier.found.revision ?? 'none', 50)}, now ` +
        `${inert(revision ?? 'none', 50)}); start anew with --overwrite.`,
    );
  }
  const identity: RunIdentity = {
    version: 1,
    ...fresh,
    ...(earlier === null ? {} : { uuid: earlier.uuid, created: earlier.created }),
    asked: askedFor(options),
    found: { revision, subset, split, format: format.name, columns: format.columns },
  };
  await writeRowsWithProgress(options, folder, dataset, format, console, signal);
  if (earlier === null) {
    // From here on the run is ours; where that can't be, the Python tool's run stays as it was.
    if (existsSync(folder.jobs)) await takeOver(options, folder, console);
    await writeIdentity(folder.run, identity);
  }
  return identity;
}

async function writeJobsWithProgress(
  options: RunOptions,
  folder: RunFolder,
  console: Console,
): Promise<void> {
  let done = 0;
  const endProgress = console.showProgress(() => `Writing jobs: ${count(done)}`);
  let jobs: number;
  try {
    jobs = await writeJobs(folder.rows, folder.jobs, requestShape(options), (rows) => {
      done = rows;
    });
  } finally {
    endProgress();
  }
  console.info(`Wrote ${plural(jobs, 'job')} to ${folder.jobs}.`);
}

async function takeOver(options: RunOptions, folder: RunFolder, console: Console): Promise<void> {
  await compareJobs(folder.jobs, folder.rows, requestShape(options));
  console.info('Taking over the run that the Python tool began.');
  rmSync(folder.jobs);
}

async function writeRowsWithProgress(
  options: RunOptions,
  folder: RunFolder,
  dataset: OpenDataset,
  format: ChosenFormat,
  console: Console,
  signal: AbortSignal,
): Promise<void> {
  const { offset, limit } = options;
  const available = dataset.totalRows === null ? null : dataset.totalRows - offset;
  const expected = available === null ? limit : Math.min(available, limit ?? available);
  let loaded = 0;
  let problems = 0;
  const endProgress = console.showProgress(
    () => `Loading rows: ${count(loaded)}${expected === null ? '' : ` of ${count(expected)}`}`,
  );
  try {
    const rows = dataset.rows({ columns: format.columns, offset, limit, signal });
    const counts = await writeRows(
      folder.rows,
      rows,
      format,
      (_, problem) => {
        problems += 1;
        if (problems <= PROBLEMS_SHOWN) console.warning(`Not usable: ${problem}`);
      },
      (done) => {
        loaded = done;
      },
    );
    if (counts.total === 0) {
      rmSync(folder.rows, { force: true });
      throw new UserError(
        `The dataset ${inert(options.dataset, 120)} has no rows${offset > 0 ? ` from --offset ${offset} on` : ''}.`,
      );
    }
    if (problems > PROBLEMS_SHOWN) console.warning(`${plural(problems, 'row')} can't be used in all.`);
    console.info(`Loaded ${plural(counts.total, 'row')} of ${inert(options.dataset, 120)}.`);
  } finally {
    endProgress();
  }
}

/**
 * Reads a journal into an index, and tells of lines that can't be read.
 * @param several true where every line is to be parsed
 * @param onEntry called for every line that counts
 */
export async function readJournal(
  folder: Pick<RunFolder, 'journal'>,
  index: JournalIndex,
  several: boolean,
  console: Console,
  onEntry: (entry: ScannedEntry) => void,
): Promise<void> {
  const report = await scanJournal(folder.journal, index, several, onEntry);
  if (report.tornBytes > 0)
    console.warning(`Cut a torn last line of ${report.tornBytes} bytes off ${folder.journal}.`);
  if (report.damaged > 0) {
    console.warning(
      `${plural(report.damaged, 'line')} of ${folder.journal} can't be read; their rows are asked again.`,
    );
  }
  if (report.foreign > 0) {
    console.warning(
      `${plural(report.foreign, 'line')} of ${folder.journal} belong to rows that this run does not have.`,
    );
  }
}
