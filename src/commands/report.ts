/** `reannotate report`: the page that shows a finished run. */

import { join } from 'node:path';
import { removeLeftovers, replaceFile } from '../lib/files.js';
import { packageVersion } from '../lib/package.js';
import { count, plural } from '../lib/text.js';
import { collect, type CollectOptions } from '../report/collect.js';
import { renderPage } from '../report/html.js';
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
}

/** Writes the page of a run's report. */
export async function report(request: ReportRequest, console: Console): Promise<number> {
  const run = await findReportedRun(request);
  const output = request.output ?? join(run.folder.save, 'report.html');
  let done = 0;
  const endProgress = console.showProgress(() => `Reading results: ${plural(done, 'row')}`);
  try {
    const data = await collect(run, {
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

function optionsOf({ sample, rows, isPublic }: ReportRequest): Omit<CollectOptions, 'onProgress'> {
  return { sample, rows, isPublic, version: packageVersion(), now: new Date() };
}

async function writePage(path: string, page: string): Promise<void> {
  removeLeftovers(path);
  await replaceFile(path, (file) => {
    file.write(page);
  });
}
