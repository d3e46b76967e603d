/** `reannotate report`: the page that shows a finished run. */

import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { resolveAnnotator } from '../models/annotators.js';
import { datasetName } from '../datasets/names.js';
import { UsageError, UserError } from '../lib/errors.js';
import { removeLeftovers, replaceFile } from '../lib/files.js';
import {
  DEFAULT_ANNOTATOR,
  DEFAULT_SAVE_DIR,
  DEFAULT_TEMP_DIR,
  FlagReader,
  type RawFlags,
} from '../cli/options.js';
import { printResult } from '../terminal/output.js';
import { packageVersion } from '../lib/package.js';
import type { Console } from '../terminal/progress.js';
import { collect } from '../report/collect.js';
import { titleOf } from '../report/facts.js';
import { renderPage } from '../report/html.js';
import { readConfig, type ConfigFile } from '../run/config.js';
import { checkRunName, findRunFolder, runFolder, type RunFolder } from '../run/folder.js';
import { count, inert, plural } from '../lib/text.js';

const DEFAULT_SAMPLE = 500;
const LARGEST_SAMPLE = 5000;
const MOST_ROWS_NAMED = 200;

interface ReportOptions {
  folder: RunFolder;
  dataset: string;
  annotator: string;
  output: string;
  sample: number;
  rows: number[];
}

/**
 * Writes the page of a run's report.
 * @param path the folder of the run's results; null where flags name the run
 */
export async function report(path: string | null, raw: RawFlags, console: Console): Promise<number> {
  const flags = new FlagReader(raw);
  const { options, config } = await (path === null ? byFlags(flags) : byFolder(path, flags));
  let done = 0;
  const endProgress = console.showProgress(() => `Reading results: ${plural(done, 'row')}`);
  try {
    const { folder, annotator, sample, rows } = options;
    const dataset = titleOf(options.dataset);
    const data = await collect(folder, { dataset, annotator }, config, {
      sample,
      rows,
      version: packageVersion(),
      now: new Date(),
      onProgress: (read) => {
        done = read;
      },
    });
    const page = renderPage(data);
    removeLeftovers(options.output);
    await replaceFile(options.output, (file) => {
      file.write(page);
    });
    endProgress();
    console.info(`${plural(data.rows, 'row')}, ${count(data.shown.length)} of them to read.`);
    await printResult(`${options.output}\n`, `The page is ${options.output}.`);
    return 0;
  } finally {
    endProgress();
  }
}

interface Found {
  options: ReportOptions;
  config: Partial<ConfigFile>;
}

async function byFlags(flags: FlagReader): Promise<Found> {
  const named = flags.text('dataset');
  const dataset = named === null ? null : datasetName(named);
  if (dataset === null) {
    throw new UsageError(
      'Which run? Give the folder of its results, or its --dataset and --annotator (and --save_dir, --temp_dir).',
    );
  }
  const { name } = resolveAnnotator(flags.text('annotator') ?? DEFAULT_ANNOTATOR, true);
  const given = flags.text('run_name');
  const folder = findRunFolder({
    saveDir: flags.text('save_dir') ?? DEFAULT_SAVE_DIR,
    tempDir: flags.text('temp_dir') ?? DEFAULT_TEMP_DIR,
    dataset,
    annotator: name,
    runName: given === null ? null : checkRunName(given),
  });
  const config = await readConfig(folder.config, new Date());
  return { options: optionsOf(flags, folder, dataset, name), config };
}

async function byFolder(path: string, flags: FlagReader): Promise<Found> {
  const save = resolve(path);
  if (!existsSync(save) || !statSync(save).isDirectory())
    throw new UserError(`${inert(path, 300)} is no folder. Give the folder that holds reannotated.json.`);
  const config = await readConfig(join(save, 'config.yaml'), new Date());
  const { params = {} } = config;
  const told = (name: string): string | null => {
    const value = params[name];
    return typeof value === 'string' && value !== '' ? value : null;
  };
  const folder = runFolder(
    dirname(save),
    flags.text('temp_dir') ?? told('temp_dir') ?? DEFAULT_TEMP_DIR,
    basename(save),
  );
  return {
    options: optionsOf(
      flags,
      folder,
      told('dataset') ?? basename(save),
      told('annotator') ?? 'unknown annotator',
    ),
    config,
  };
}

function optionsOf(flags: FlagReader, folder: RunFolder, dataset: string, annotator: string): ReportOptions {
  return {
    folder,
    dataset,
    annotator,
    output: flags.text('output') ?? join(folder.save, 'report.html'),
    sample: flags.integer('sample', 0, LARGEST_SAMPLE) ?? DEFAULT_SAMPLE,
    rows: parseRows(flags.text('rows')),
  };
}

/** @throws UsageError */
function parseRows(text: string | null): number[] {
  const rows = (text ?? '')
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map(Number);
  if (rows.some((row) => !Number.isSafeInteger(row) || row < 0) || rows.length > MOST_ROWS_NAMED) {
    throw new UsageError(
      `--rows takes up to ${MOST_ROWS_NAMED} numbers of rows, counted from 0 and separated by commas, such as 0,17,420.`,
    );
  }
  return rows;
}
