/** `reannotate report`: the page that shows a finished run. */

import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { resolveAnnotator } from '../models/annotators.js';
import { UsageError, UserError } from '../lib/errors.js';
import { removeLeftovers, replaceFile } from '../lib/files.js';
import { printResult } from '../terminal/output.js';
import { packageVersion } from '../lib/package.js';
import type { Console } from '../terminal/progress.js';
import { collect } from '../report/collect.js';
import { titleOf } from '../report/facts.js';
import { renderPage } from '../report/html.js';
import { readConfig, type ConfigFile } from '../run/config.js';
import { findRunFolder, runFolder, type RunFolder } from '../run/folder.js';
import { DEFAULT_OUTPUT } from '../run/settings.js';
import { findTempDir } from '../run/working-folder.js';
import { count, inert, plural } from '../lib/text.js';

/** What `reannotate report` is to do. */
export interface ReportRequest {
  /** The folder of the run's results; null where the other values name the run. */
  path: string | null;
  /** Null where `path` names the run. */
  dataset: string | null;
  annotator: string;
  saveDir: string;
  /** Null where the run's record says, or it is the usual one. */
  tempDir: string | null;
  runName: string | null;
  /** The page; null for `report.html` beside the results. */
  output: string | null;
  /** Rows to read that are chosen at random. */
  sample: number;
  /** Rows to read in any case. */
  rows: readonly number[];
}

/** The run that a report is about. */
interface Found {
  folder: RunFolder;
  dataset: string;
  annotator: string;
  config: Partial<ConfigFile>;
}

/** Writes the page of a run's report. */
export async function report(request: ReportRequest, console: Console): Promise<number> {
  const { folder, annotator, dataset: name, config } = await findRun(request);
  const { sample, rows } = request;
  const output = request.output ?? join(folder.save, 'report.html');
  let done = 0;
  const endProgress = console.showProgress(() => `Reading results: ${plural(done, 'row')}`);
  try {
    const dataset = titleOf(name);
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
    removeLeftovers(output);
    await replaceFile(output, (file) => {
      file.write(page);
    });
    endProgress();
    console.info(`${plural(data.rows, 'row')}, ${count(data.shown.length)} of them to read.`);
    await printResult(`${output}\n`, `The page is ${output}.`);
    return 0;
  } finally {
    endProgress();
  }
}

async function findRun(request: ReportRequest): Promise<Found> {
  return request.path === null ? byName(request) : byFolder(request.path, request);
}

async function byName({ dataset, annotator, saveDir, tempDir, runName }: ReportRequest): Promise<Found> {
  if (dataset === null) {
    throw new UsageError(
      'Which run? Give the folder of its results, or its --dataset and --annotator (and --save_dir, --temp_dir).',
    );
  }
  const { name } = resolveAnnotator(annotator, true);
  const folder = findRunFolder({
    ...{ saveDir, dataset, runName },
    tempDir: tempDir ?? DEFAULT_OUTPUT.tempDir,
    annotator: name,
  });
  const config = await readConfig(folder.config, new Date());
  return { folder, dataset, annotator: name, config };
}

async function byFolder(path: string, { tempDir }: ReportRequest): Promise<Found> {
  const save = resolve(path);
  if (!existsSync(save) || !statSync(save).isDirectory())
    throw new UserError(`${inert(path, 300)} is no folder. Give the folder that holds reannotated.json.`);
  const config = await readConfig(join(save, 'config.yaml'), new Date());
  const { params = {} } = config;
  const recorded = (name: string): string | null => {
    const value = params[name];
    return typeof value === 'string' && value !== '' ? value : null;
  };
  const folder = runFolder(dirname(save), findTempDir(save, config, tempDir), basename(save));
  return {
    folder,
    dataset: recorded('dataset') ?? basename(save),
    annotator: recorded('annotator') ?? 'unknown annotator',
    config,
  };
}
