/** Several runs of one dataset side by side. */

import { resolve } from 'node:path';
import { isLocalName } from '../datasets/local-files.js';
import { UserError } from '../lib/errors.js';
import { count, dollars, sanitize } from '../lib/text.js';
import { ROW_STATES } from '../types.js';
import type { ReportedRun } from './collect.js';
import type { ComparisonData, HeadToHead, ReportData, RowMatch, ShownRow } from './data.js';
import { FLAG_NAMES } from './flags.js';
import type { RowVerdict } from './judgements.js';
import { directMatches, rankRuns, type PairVerdicts } from './pair-verdicts.js';
import { sizeOfRow } from './shown-row.js';

/** Rows whose answers are shown, and the bytes that they may take in the page. */
const MOST_ROWS = 600;
const MOST_BYTES = 9 << 20;
const NONE = '–';

/** @throws UserError where they are not runs of the same rows; it names what differs */
export function refuseOtherDatasets(runs: readonly ReportedRun[]): void {
  const [first, ...others] = runs;
  if (first === undefined) return;
  for (const other of others) {
    const [one, two] = [datasetName(first), datasetName(other)];
    if (identityOf(first) === identityOf(other)) continue;
    throw new UserError(
      `These runs cannot be compared: ${sanitize(first.folder.name, 120)} is of ${one}, and ` +
        `${sanitize(other.folder.name, 120)} is of ${two}. Compare runs of the same dataset, subset, split and --offset.`,
    );
  }
}

function partOf({ config }: ReportedRun): string[] {
  const { params = {}, dataset } = config;
  const text = (value: unknown, usual: string): string =>
    typeof value === 'string' || typeof value === 'number' ? String(value) : usual;
  return [
    text(dataset?.subset ?? params['subset'], ''),
    text(dataset?.split ?? params['split'], 'train'),
    text(params['offset'], '0'),
  ];
}

function identityOf(run: ReportedRun): string {
  const paths = run.config.dataset?.paths;
  const place = isLocalName(run.dataset) ? (paths?.join('\n') ?? resolve(run.dataset)) : run.dataset;
  return JSON.stringify([place, ...partOf(run)]);
}

function datasetName(run: ReportedRun): string {
  const [subset = '', split = '', offset = ''] = partOf(run);
  const parts = [
    subset === '' ? '' : `subset ${subset}`,
    `split ${split}`,
    offset === '0' ? '' : `offset ${offset}`,
  ];
  return `${sanitize(run.dataset, 200)} (${sanitize(parts.filter((part) => part !== '').join(', '), 200)})`;
}

/** The rows to show: those that most runs chose, then in the order of the dataset. */
export function rowsToCompare(reports: readonly ReportData[]): number[] {
  const chosen = new Map<number, number>();
  for (const { shown } of reports) for (const { row } of shown) chosen.set(row, (chosen.get(row) ?? 0) + 1);
  return [...chosen]
    .sort(([a, runsOfA], [b, runsOfB]) => runsOfB - runsOfA || a - b)
    .slice(0, MOST_ROWS)
    .map(([row]) => row)
    .sort((a, b) => a - b);
}

/** One run of a comparison. */
export interface Compared {
  run: ReportedRun;
  /** With the rows to show. */
  report: ReportData;
  verdicts: ReadonlyMap<number, RowVerdict>;
}

/** @throws UserError where a row is not the same in all runs */
export function comparisonOf(
  compared: readonly Compared[],
  rows: readonly number[],
  pairs: readonly PairVerdicts[] = [],
): ComparisonData {
  const reports = compared.map(({ report }) => report);
  const [first] = reports;
  if (first === undefined) throw new UserError('There is nothing to compare.');
  const labels = labelsOf(reports);
  const shown = comparedRows(reports, rows, labels, pairs);
  const most = Math.max(...reports.map((report) => report.rows));
  return {
    kind: 'comparison',
    ...{ dataset: first.dataset, version: first.version, made: first.made, labels, rows: most, shown },
    figures: figuresOf(reports),
    parameters: differingParameters(reports),
    wins: headToHeads(compared.map(({ verdicts }) => verdicts)),
    matches: directMatches(pairs),
    ranking: rankRuns(reports.length, pairs),
    lengths: [
      { label: 'old', of: first.oldLengths },
      ...reports.map(({ newLengths }, place) => ({ label: labels[place] ?? '', of: newLengths })),
    ],
    choice:
      shown.length === most
        ? `All ${count(most)} rows are shown.`
        : `${count(shown.length)} of ${count(most)} rows are shown: a random sample, and those that stand out in a run. Figures cover all rows.`,
    hub: first.hub,
  };
}

/** Annotators, or the runs' names where these are the same. */
function labelsOf(reports: readonly ReportData[]): string[] {
  const names = reports.map(({ annotator }) => annotator);
  return new Set(names).size === names.length ? names : reports.map(({ run }) => run);
}

function comparedRows(
  reports: readonly ReportData[],
  rows: readonly number[],
  labels: readonly string[],
  pairs: readonly PairVerdicts[],
): ShownRow[] {
  const byRow = reports.map(({ shown }) => new Map(shown.map((row) => [row.row, row])));
  const found: ShownRow[] = [];
  let bytes = 0;
  for (const row of rows) {
    const runs = byRow.map((own) => own.get(row) ?? null);
    const first = runs.find((one) => one !== null);
    if (first === undefined) continue;
    const other = runs.findIndex((one) => one !== null && one.old !== first.old);
    if (other !== -1) {
      throw new UserError(
        `These runs cannot be compared: row ${row} of ${sanitize(labels[other] ?? '', 120)} has another original answer than ` +
          `in ${sanitize(labels[0] ?? '', 120)}, so the dataset changed between them.`,
      );
    }
    const matches = matchesAt(pairs, row);
    bytes += runs.reduce((sum, one) => sum + (one === null ? 0 : sizeOfRow(one)), 0);
    bytes += matches.reduce((sum, { reason }) => sum + Buffer.byteLength(reason) + 60, 0);
    if (bytes > MOST_BYTES) break;
    const flags = FLAG_NAMES.filter((name) => runs.some((one) => one?.flags.includes(name)));
    found.push({ ...first, flags, runs, ...(matches.length === 0 ? {} : { matches }) });
  }
  return found;
}

function matchesAt(pairs: readonly PairVerdicts[], row: number): RowMatch[] {
  return pairs.flatMap(({ one, other, byRow }) => {
    const verdict = byRow.get(row);
    return verdict === undefined ? [] : [{ one, other, ...verdict }];
  });
}

/** The key figures side by side: a title, and a value for each run. */
function figuresOf(reports: readonly ReportData[]): [string, ...string[]][] {
  const line = (title: string, of: (report: ReportData) => string): [string, ...string[]] => [
    title,
    ...reports.map(of),
  ];
  const states = ROW_STATES.filter((state) => reports.some((report) => (report.states[state] ?? 0) > 0));
  const titles = [...new Set(reports.flatMap(({ figures }) => figures.map(([title]) => title)))];
  const flags = FLAG_NAMES.filter((name) => reports.some((report) => flagged(report, name) > 0));
  return [
    line('Rows', ({ rows }) => count(rows)),
    ...states.map((state) => line(state, (report) => count(report.states[state] ?? 0))),
    ...titles.map((title) =>
      line(title, ({ figures }) => figures.find(([own]) => own === title)?.[1] ?? NONE),
    ),
    line('Cost of 1,000 answers', costOfThousand),
    line('Answer length, median and p95', ({ lengths }) =>
      lengths.new === null ? NONE : `${count(lengths.new.median)}, ${count(lengths.new.p95)} characters`,
    ),
    ...flags.map((name) => line(`flag: ${name}`, (report) => count(flagged(report, name)))),
    ...(reports.some(({ judge }) => judge !== null) ? [line('Wins against the old answers', winsOf)] : []),
  ];
}

function flagged({ flags }: ReportData, name: string): number {
  return flags.find((flag) => flag.name === name)?.rows ?? 0;
}

function costOfThousand({ cost, rows, states }: ReportData): string {
  const answered = rows - (states.pending ?? 0) - (states.failed ?? 0);
  return cost === null || answered === 0 ? NONE : dollars((cost / answered) * 1000);
}

function winsOf({ judge }: ReportData): string {
  if (judge === null) return NONE;
  const { winRate, interval, annotator, rows } = judge;
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const range = interval === null ? '' : ` (95 %: ${percent(interval[0])} to ${percent(interval[1])})`;
  return `${winRate === null ? 'nothing decided' : percent(winRate)}${range}, ${count(rows)} pairs, ${annotator}`;
}

function differingParameters(reports: readonly ReportData[]): [string, ...string[]][] {
  const own = reports.map(({ parameters }) => new Map(parameters));
  const names = [...new Set(own.flatMap((parameters) => [...parameters.keys()]))];
  return names
    .filter((name) => !['run', 'created', 'dataset files'].includes(name))
    .map((name): [string, ...string[]] => [name, ...own.map((parameters) => parameters.get(name) ?? NONE)])
    .filter(([, ...values]) => new Set(values).size > 1);
}

const SCORES: Readonly<Record<string, number>> = { new: 1, tie: 0.5, old: 0 };

/** Of each two runs the rows that were judged in both. */
function headToHeads(verdicts: readonly ReadonlyMap<number, RowVerdict>[]): HeadToHead[] {
  return verdicts
    .flatMap((own, one) =>
      verdicts
        .slice(one + 1)
        .map((others, place) => headToHead(own, others, { one, other: one + 1 + place })),
    )
    .filter(({ wins, ties, losses }) => wins + ties + losses > 0);
}

function headToHead(
  own: ReadonlyMap<number, RowVerdict>,
  others: ReadonlyMap<number, RowVerdict>,
  places: Pick<HeadToHead, 'one' | 'other'>,
): HeadToHead {
  const sums = { ...places, wins: 0, ties: 0, losses: 0 };
  for (const [row, { preferred }] of own) {
    const mine = SCORES[preferred];
    const theirs = SCORES[others.get(row)?.preferred ?? ''];
    if (mine === undefined || theirs === undefined) continue;
    sums[mine > theirs ? 'wins' : mine < theirs ? 'losses' : 'ties'] += 1;
  }
  return sums;
}
