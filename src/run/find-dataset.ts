/** Opens the dataset of a run, and writes its rows into the run's folder. */

import { rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { openDataset } from '../datasets/index.js';
import { expandHome } from '../datasets/local-files.js';
import { redactedDataset } from '../datasets/redacted.js';
import type { DatasetSelection } from '../datasets/selection.js';
import { chooseFormat, type ChosenFormat } from '../formats/index.js';
import { UserError } from '../lib/errors.js';
import { count, plural, sanitize } from '../lib/text.js';
import type { Console } from '../terminal/progress.js';
import type { OpenDataset } from '../types.js';
import { columnWarnings, describeColumns } from './columns.js';
import { writeRows, type RowCounts } from './rows.js';
import type { Environment, Output } from './settings.js';

/** Row-level problems that are shown one by one; the rest is counted. */
const PROBLEMS_SHOWN = 5;

export interface FoundDataset {
  /** As the user names it. */
  name: string;
  dataset: OpenDataset;
  format: ChosenFormat;
}

/** Which dataset is read, and how: the part of a run's settings that is about it. */
export interface DatasetSource {
  selection: DatasetSelection;
  /** Where standard input is kept. */
  output: Pick<Output, 'tempDir'>;
  environment: Pick<Environment, 'hub' | 'redactor'>;
}

/** Opens the dataset and decides how its rows become prompts; nothing is written. */
export async function findDataset(
  { selection, output, environment }: DatasetSource,
  console: Console,
  signal: AbortSignal,
): Promise<FoundDataset> {
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
  if (files > 1) console.info(`Reading ${plural(files, 'file')} as one dataset, in alphabetical order.`);
  console.info(describeColumns(format));
  for (const warning of columnWarnings(format)) console.warning(warning);
  for (const warning of dataset.warnings) console.warning(warning);
  return { name, dataset, format };
}

/** Where the images of a local dataset may be: next to its files. */
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

/** @throws UserError where two columns have a name that the prompts use */
function refuseRepeated(name: string, { repeatedColumns = [] }: OpenDataset, format: ChosenFormat): void {
  const used = repeatedColumns.filter((column) => format.columns.includes(column));
  if (used.length === 0) return;
  throw new UserError(
    `${sanitize(name, 120)} has several columns called ${used.map((column) => `"${sanitize(column, 60)}"`).join(', ')}. ` +
      'Rename all but one of them in the header, or name other columns with --prompt_column and --response_column.',
  );
}

/** The rows of a dataset to write. */
export interface Part {
  offset: number;
  limit: number | null;
  /** Whether they follow the rows that the run has. */
  keep: boolean;
}

/**
 * Writes rows of a dataset to a run's `rows.jsonl`, and says how many cannot be used.
 * @returns what was added
 */
export async function writeRowsWithProgress(
  { name, dataset, format }: FoundDataset,
  { offset, limit, keep }: Part,
  path: string,
  { console, signal }: { console: Console; signal: AbortSignal },
): Promise<RowCounts> {
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
    return counts;
  } finally {
    endProgress();
  }
}
