/** `reannotate report RUN_DIR RUN_DIR …`: one page for several runs of a dataset. */

import { join } from 'node:path';
import { count, plural } from '../lib/text.js';
import type { CollectOptions, ReportedRun } from '../report/collect.js';
import { comparisonOf, refuseOtherDatasets, rowsToCompare, type Compared } from '../report/comparison.js';
import type { ComparisonData, ReportData } from '../report/data.js';
import { readJudgements } from '../report/judgements.js';
import { verdictsBetween } from '../report/pair-verdicts.js';

/** Reads one run. */
export type ReadReport = (run: ReportedRun, options: CollectOptions) => Promise<ReportData>;

/**
 * The comparison of some runs. Each is read twice, one after the other, so that memory holds the texts of the rows that
 * are shown and no others.
 * @throws UserError where they are not runs of the same rows
 */
export async function compare(
  runs: readonly ReportedRun[],
  options: CollectOptions,
  read: ReadReport,
): Promise<ComparisonData> {
  refuseOtherDatasets(runs);
  const rows = new Set(options.rows);
  const reports: ReportData[] = [];
  for (const run of runs) reports.push(await read(run, options));
  const wanted = [...new Set([...rows, ...rowsToCompare(reports)])].sort((a, b) => a - b);
  for (const report of reports) report.shown = [];
  const compared: Compared[] = [];
  for (const [place, run] of runs.entries()) {
    const again = await read(run, { ...options, sample: 0, rows: wanted, onlyRows: true });
    const report = { ...(reports[place] ?? again), shown: again.shown };
    compared.push({ run, report, verdicts: readJudgements(run.folder.judgements) });
  }
  return comparisonOf(compared, wanted, await verdictsBetween(runs));
}

/** Where the page goes if nobody says: beside the results of the first run. */
export function comparisonPath([first]: readonly ReportedRun[]): string {
  return join(first?.folder.save ?? '.', 'comparison.html');
}

export function describeComparison({ labels, shown, rows }: ComparisonData): string {
  return `Compared ${plural(labels.length, 'run')} of ${plural(rows, 'row')}; the page includes ${count(shown.length)} of them.`;
}
