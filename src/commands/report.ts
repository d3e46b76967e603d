/** `reannotate report`: the page that shows a run. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { removeLeftovers, replaceFile } from '../lib/files.js';
import { packageVersion } from '../lib/package.js';
import { count, plural } from '../lib/text.js';
import { collect, type CollectOptions, type ReportedRun } from '../report/collect.js';
import type { ReportData } from '../report/data.js';
import { renderPage } from '../report/html.js';
import { LiveRun } from '../report/live-run.js';
import { findReportedRun, type RunName } from '../session/reported-run.js';
import { printResult } from '../terminal/output.js';
import type { Console } from '../terminal/progress.js';

/** What `reannotate report` is to do. */
export interface ReportRequest extends RunName {
  /** The page; null for `report.html` beside the results. */
  output: string | null;
  /** Rows to read that are chosen at random. */
  sample: number;
  /** Rows to read in any case. */
  rows: readonly number[];
  /** True for a page that others may see. */
  isPublic: boolean;
  /** True to serve the page while the run goes on. */
  isWatching: boolean;
}

/**
 * Writes the page of a run's report, or serves it.
 * @returns the exit code
 */
export async function report(
  request: ReportRequest,
  { console, signal }: { console: Console; signal: AbortSignal },
): Promise<number> {
  const run = await findReportedRun(request);
  if (!request.isWatching) return writeReport(run, request, console);
  const { sample, rows, isPublic } = request;
  const { watchReport } = await import('./watch-report.js');
  return watchReport(run, { sample, rows, isPublic, version: packageVersion() }, { console, signal });
}

async function writeReport(run: ReportedRun, request: ReportRequest, console: Console): Promise<number> {
  const output = request.output ?? join(run.folder.save, 'report.html');
  let done = 0;
  const endProgress = console.showProgress(() => `Reading results: ${plural(done, 'row')}`);
  try {
    const data = await dataOf(run, {
      ...optionsOf(request),
      onProgress: (read) => {
        done = read;
      },
    });
    await writePage(output, renderPage(data));
    endProgress();
    console.info(
      data.shown.length === data.rows
        ? `The report shows ${plural(data.rows, 'row')}.`
        : `${plural(data.rows, 'row')}; the report includes ${count(data.shown.length)} of them.`,
    );
    await printResult(`${output}\n`, `The page is ${output}.`);
    return 0;
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

function optionsOf({ sample, rows, isPublic }: ReportRequest): Omit<CollectOptions, 'onProgress'> {
  return { sample, rows, isPublic, version: packageVersion(), now: new Date() };
}

async function writePage(path: string, page: string): Promise<void> {
  removeLeftovers(path);
  await replaceFile(path, (file) => {
    file.write(page);
  });
}
