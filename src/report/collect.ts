/** Reads a run's files once, in bounded memory, into what the page of its report shows. */

import { existsSync, statSync } from 'node:fs';
import { readBatch, type Batch } from '../batches/batch.js';
import { refuseParts } from '../exports/parts.js';
import { readResults, type ResultRow } from '../exports/rows.js';
import { UserError } from '../lib/errors.js';
import { readLines, readOwnText } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { shellWord, shortDuration } from '../lib/text.js';
import { readSummary } from '../judge/figures.js';
import { isLocalName } from '../datasets/local-files.js';
import type { ConfigFile } from '../run/config.js';
import type { RunFolder } from '../run/folder.js';
import { latencyAt, readTimeline, type RecordedTimeline } from '../run/timeline.js';
import { DEMO_DATASET, ROW_STATES, type RowState } from '../types.js';
import { addFigures, type JournalPart, type Pricing } from './answer-figures.js';
import type { BatchFigures, ReportData } from './data.js';
import { figuresOf, judgeOf, parametersOf, titleOf } from './facts.js';
import { readJudgements } from './judgements.js';
import { allLatencies, batchesOverTime, overTime } from './over-time.js';
import { Pass, type Counted } from './pass.js';
import { tablesOf } from './tables.js';

/** Smaller files than the results, which are read whole. */
const LARGEST_FILE = 64 << 20;
const LONGEST_ERROR = 500;
/** URLs, `host:port`, and addresses of IPv4. */
const ADDRESSES = /\bhttps?:\/\/[^\s"'<>)]+|\b[\w.-]{1,253}:\d{2,5}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b/gi;
const HUB = 'https://huggingface.co';

/** The run that a report is about. */
export interface ReportedRun {
  folder: RunFolder;
  dataset: string;
  annotator: string;
  config: Partial<ConfigFile>;
  /** Where its answers are; empty if the working files were deleted. */
  parts: readonly JournalPart[];
  pricing: Pricing;
}

export interface CollectOptions {
  /** Rows that are chosen at random. */
  sample: number;
  /** Rows that are shown in any case. */
  rows: readonly number[];
  /** True where no others are shown. */
  onlyRows?: boolean;
  /** True to leave out where the run was done. */
  isPublic: boolean;
  version: string;
  now: Date;
  onProgress: (rows: number) => void;
}

/**
 * The report of a run that has results.
 * @throws UserError where there are none
 */
export async function collect(run: ReportedRun, options: CollectOptions): Promise<ReportData> {
  const { folder, parts, pricing } = run;
  if (!existsSync(folder.reannotated)) {
    refuseParts(folder.save);
    throw new UserError(
      `There is no ${folder.reannotated}: the run has no results yet, or it has another dataset, annotator or --save_dir. ` +
        'A run that is in progress is shown by reannotate report --watch.',
    );
  }
  const { sample, rows, onlyRows, onProgress } = options;
  const pass = new Pass({ sample, rows, onlyRows, verdicts: readJudgements(folder.judgements) });
  const failures = new Failures(folder.failedRows, options.isPublic);
  let number = 0;
  await readResults({ path: folder.reannotated, onProgress }, (line) => {
    const row = line.parse();
    const failure = failures.of(number);
    pass.add(number, { row, ...outcomeOf(row, failure), figures: null });
    number += 1;
  });
  const counted = pass.result();
  await addFigures(parts, counted.shown, pricing);
  return reportOf(run, options, counted, { status: 'finished', summary: readSummary(folder.summary) });
}

/**
 * Everything that a page shows.
 * @param summary what `summary.json` holds, or would hold by now
 */
export function reportOf(
  { folder, dataset, annotator, config }: ReportedRun,
  { isPublic, version, now }: Pick<CollectOptions, 'isPublic' | 'version' | 'now'>,
  counted: Counted,
  { status, summary }: Pick<ReportData, 'status'> & { summary: Record<string, unknown> },
): ReportData {
  const counters = readJsonFile(folder.counters);
  const timeline = readTimeline(isObject(counters) ? counters['timeline'] : null);
  const batches = batchesIn(folder);
  const { cost_usd: cost, mode } = summary;
  return {
    kind: 'run',
    dataset: titleOf(dataset),
    annotator,
    run: folder.name,
    id: config.uuid ?? folder.name,
    version,
    made: now.toISOString(),
    status,
    figures: [...figuresOf(summary), ...latencyFigure(timeline)],
    cost: typeof cost === 'number' ? cost : null,
    parameters: parametersOf(config, isPublic),
    time:
      timeline === null
        ? batchTime(batches, cost)
        : overTime(timeline, typeof cost === 'number' && mode !== 'batch' ? cost : null),
    batches: batches.map(batchFigures),
    tables: tablesOf(summary, isPublic),
    judge: judgeOf(summary),
    command: commandFor(folder, config),
    hub: hubOf(dataset, config),
    ...counted,
  };
}

/** The cost of batches over time; null where there are none, or their cost is not known. */
function batchTime(batches: readonly Batch[], cost: unknown): ReportData['time'] {
  if (batches.length === 0 || typeof cost !== 'number') return null;
  return batchesOverTime(
    batches.map(({ createdAt, endedAt, counts }) => ({ createdAt, endedAt, answers: counts.completed })),
    cost,
  );
}

function latencyFigure(timeline: RecordedTimeline | null): [string, string][] {
  const latencies = timeline === null ? [] : allLatencies(timeline);
  const [median, p95] = [latencyAt(0.5, latencies), latencyAt(0.95, latencies)];
  if (median === null || p95 === null) return [];
  return [['Latency, median and p95', `${shortDuration(median)}, ${shortDuration(p95)}`]];
}

/** State and error of a row of the results. */
function outcomeOf(row: ResultRow, failure: Failure | null): { state: RowState; error: string | null } {
  const isAnswered = row.annotation !== null || (row.annotation_tool_calls ?? null) !== null;
  const state = row.metadata?.state ?? failure?.state ?? (isAnswered ? 'ok' : 'pending');
  return { state, error: failure?.error ?? null };
}

/** An error as the page shows it: `--public` hides the servers that it names. */
export function shownError(error: string, isPublic: boolean): string {
  const text = error.slice(0, LONGEST_ERROR).toWellFormed();
  return isPublic ? text.replace(ADDRESSES, '[server]') : text;
}

interface Failure {
  row: number;
  state: RowState;
  error: string | null;
}

/** `failed_rows.jsonl`, read along with the rows. */
class Failures {
  readonly #lines: Iterator<Failure>;
  #next: Failure | null;

  constructor(path: string, isPublic: boolean) {
    this.#lines = failures(path, isPublic);
    this.#next = nextOf(this.#lines);
  }

  /** What it says of a row; rows are looked up in their order. */
  of(row: number): Failure | null {
    while (this.#next !== null && this.#next.row < row) this.#next = nextOf(this.#lines);
    return this.#next?.row === row ? this.#next : null;
  }
}

function* failures(path: string, isPublic: boolean): Generator<Failure> {
  if (!existsSync(path)) return;
  for (const { bytes } of readLines(path)) {
    const value = parseJson(bytes.toString('utf8'));
    if (!isObject(value)) continue;
    const { request_idx: row, state, error } = value;
    if (typeof row !== 'number' || !ROW_STATES.includes(state as RowState)) continue;
    yield {
      row,
      state: state as RowState,
      error: typeof error === 'string' ? shownError(error, isPublic) : null,
    };
  }
}

function nextOf<Value>(iterator: Iterator<Value>): Value | null {
  const next = iterator.next();
  return next.done === true ? null : next.value;
}

/** The content of a file of JSON; null where it is not there, or too large to be one of a run. */
export function readJsonFile(path: string): unknown {
  if (!existsSync(path) || statSync(path).size > LARGEST_FILE) return null;
  return parseJson(readOwnText(path));
}

/** A run's batches; empty where it has none. */
export function batchesIn({ batchObjects }: RunFolder): Batch[] {
  const value = readJsonFile(batchObjects);
  return Array.isArray(value) ? value.map(readBatch).filter((batch) => batch !== null) : [];
}

function batchFigures({ id, status, counts, createdAt, inProgressAt, endedAt }: Batch): BatchFigures {
  return {
    id,
    status,
    requests: counts.total,
    queued: inProgressAt === null ? null : (inProgressAt - createdAt) / 60,
    worked: inProgressAt === null || endedAt === null ? null : (endedAt - inProgressAt) / 60,
  };
}

/** How more rows come into the page: with the path as the run's own record has it, so that no private one is shown. */
function commandFor({ name }: RunFolder, { params = {} }: Partial<ConfigFile>): string {
  const parent = params['save_dir'];
  const isRelative = typeof parent === 'string' && parent !== '' && !/^(?:[/\\~]|[A-Za-z]:)/.test(parent);
  return `npx reannotate report ${shellWord(isRelative ? `${parent.replace(/\/$/, '')}/${name}` : name)} --rows`;
}

/** The dataset's viewer on the Hub (https://huggingface.co/docs/hub/datasets-viewer). */
function hubOf(dataset: string, { params = {}, dataset: found }: Partial<ConfigFile>): ReportData['hub'] {
  if (
    dataset === DEMO_DATASET ||
    isLocalName(dataset) ||
    !/^[\w.-]+\/[\w.-]+$/.test(dataset) ||
    params['shuffle'] === true
  )
    return null;
  const part = [found?.subset ?? 'default', found?.split ?? 'train'].map(encodeURIComponent).join('/');
  const { offset } = params;
  return {
    url: `${HUB}/datasets/${dataset}/viewer/${part}?row=`,
    offset: typeof offset === 'number' ? offset : 0,
  };
}
