/** `reannotate report`: the page that shows a run. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../lib/errors.js';
import { removeLeftovers, replaceFile } from '../lib/files.js';
import { packageVersion } from '../lib/package.js';
import { count, plural } from '../lib/text.js';
import { collect, type CollectOptions, type ReportedRun } from '../report/collect.js';
import type { ComparisonData, ReportData } from '../report/data.js';
import { renderPage } from '../report/html.js';
import { LiveRun } from '../report/live-run.js';
import { findReportedRun, type RunName } from '../session/reported-run.js';
import type { Redactor } from '../secrets/redactor.js';
import { printResult } from '../terminal/output.js';
import type { Console } from '../terminal/progress.js';

/** What `reannotate report` is to do. */
export interface ReportRequest extends Omit<RunName, 'path'> {
  /** Folders of runs: several are compared, and without any the other values name the run. */
  paths: readonly string[];
  /** The page; null for `report.html` beside the results. */
  output: string | null;
  /** Rows to read that are chosen at random. */
  sample: number;
  /** Rows to read in any case. */
  rows: readonly number[];
  /** True for a page that others may see. */
  isPublic: boolean;
  /** True to serve the page during the run. */
  isWatching: boolean;
}

export interface ReportContext {
  console: Console;
  signal: AbortSignal;
  /** Results of an earlier version may hold a key. */
  redactor: Redactor;
}

/**
 * Writes the page of a run's report, of a comparison, or serves it.
 * @returns the exit code
 */
export async function report(request: ReportRequest, context: ReportContext): Promise<number> {
  const { paths, sample, rows, isPublic } = request;
  const [first = null, ...others] = paths;
  const run = await findReportedRun({ ...request, path: first });
  const options = { sample, rows, isPublic, version: packageVersion() };
  if (request.isWatching) {
    if (others.length > 0) throw new UsageError('--watch shows one run; name only one.');
    const { watchReport } = await import('./watch-report.js');
    return watchReport(run, options, context);
  }
  if (others.length === 0) return writeReport(run, request, options, context);
  const runs = [run];
  for (const path of others) runs.push(await findReportedRun({ ...request, path }));
  return writeComparison(runs, request, options, context);
}

type Options = Omit<CollectOptions, 'onProgress' | 'now'>;

async function writeReport(
  run: ReportedRun,
  request: ReportRequest,
  options: Options,
  { console, redactor }: ReportContext,
): Promise<number> {
  const data = await withProgress(options, console, (all) => dataOf(run, all));
  await writePage(request.output ?? join(run.folder.save, 'report.html'), redactor.shown(data));
  console.info(
    data.shown.length === data.rows
      ? `The report shows ${plural(data.rows, 'row')}.`
      : `${plural(data.rows, 'row')}; the report includes ${count(data.shown.length)} of them.`,
  );
  return 0;
}

async function writeComparison(
  runs: readonly ReportedRun[],
  request: ReportRequest,
  options: Options,
  { console, redactor }: ReportContext,
): Promise<number> {
  const { compare, comparisonPath, describeComparison } = await import('./compare-report.js');
  const data = await withProgress(options, console, (all) => compare(runs, all, dataOf));
  console.info(describeComparison(data));
  await writePage(request.output ?? comparisonPath(runs), redactor.shown(data));
  return 0;
}

async function withProgress<Data>(
  options: Options,
  console: Console,
  read: (options: CollectOptions) => Promise<Data>,
): Promise<Data> {
  let done = 0;
  const endProgress = console.showProgress(() => `Reading results: ${plural(done, 'row')}`);
  try {
    return await read({
      ...options,
      now: new Date(),
      onProgress: (rows) => {
        done = rows;
      },
    });
  } finally {
    endProgress();
  }
}

/** From the results; from the working files where there are none yet. */
async function dataOf(run: ReportedRun, options: CollectOptions): Promise<ReportData> {
  if (existsSync(run.folder.reannotated) || run.parts.length === 0) return collect(run, options);
  const live = new LiveRun(run, options);
  await live.update();
  return live.report(options.now);
}

async function writePage(path: string, data: ReportData | ComparisonData): Promise<void> {
  const page = renderPage(data);
  removeLeftovers(path);
  await replaceFile(path, (file) => {
    file.write(page);
  });
  await printResult(`${path}\n`, `Report: ${path}`);
}
