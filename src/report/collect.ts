/** Reads a finished run's files once, in bounded memory, into what the page of its report shows. */

import { existsSync, readFileSync, statSync } from 'node:fs';
import { readBatch } from '../batches/batch.js';
import { UserError } from '../lib/errors.js';
import { readResults, type ResultRow } from '../exports/rows.js';
import { readLines } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { readSummary } from '../judge/figures.js';
import type { ConfigFile } from '../run/config.js';
import type { RunFolder } from '../run/folder.js';
import { readTimeline } from '../run/timeline.js';
import { ROW_STATES, type RowState } from '../types.js';
import type { BatchFigures, ReportData, ShownRow } from './data.js';
import { Counter, risingEdges } from './distribution.js';
import { figuresOf, judgeOf, parametersOf } from './facts.js';
import { FLAG_NAMES, flagsOf, type FlagName } from './flags.js';
import { Selection } from './selection.js';
import { similarity } from './similarity.js';

/** Characters of a text that the reader shows. */
const LONGEST_SHOWN = 12_000;
/** Smaller files than the results, which are read whole. */
const LARGEST_FILE = 64 << 20;

export interface CollectOptions {
  /** Rows that are chosen at random. */
  sample: number;
  /** Rows that are shown in any case. */
  rows: readonly number[];
  version: string;
  now: Date;
  onProgress: (rows: number) => void;
}

/** @throws UserError where there are no results yet */
export async function collect(
  folder: RunFolder,
  title: { dataset: string; annotator: string },
  config: Partial<ConfigFile>,
  options: CollectOptions,
): Promise<ReportData> {
  if (!existsSync(folder.reannotated)) {
    throw new UserError(
      `There is no ${folder.reannotated}: the run is not finished, or it has another dataset, annotator or --save_dir.`,
    );
  }
  const summary = readSummary(folder.summary);
  const pass = new Pass(folder, options);
  await readResults({ path: folder.reannotated, onProgress: options.onProgress }, (line) => {
    pass.add(line.parse());
  });
  const counters = readJsonFile(folder.counters);
  return {
    ...title,
    version: options.version,
    made: options.now.toISOString(),
    figures: figuresOf(summary),
    parameters: parametersOf(config),
    models: isObject(summary['models'])
      ? Object.entries(summary['models']).filter(
          (entry): entry is [string, number] => typeof entry[1] === 'number',
        )
      : [],
    timeline: readTimeline(isObject(counters) ? counters['timeline'] : null),
    batches: batchesOf(readJsonFile(folder.batchObjects)),
    judge: judgeOf(summary),
    ...pass.result(),
  };
}

type Counted = Omit<
  ReportData,
  | 'dataset'
  | 'annotator'
  | 'version'
  | 'made'
  | 'figures'
  | 'parameters'
  | 'models'
  | 'timeline'
  | 'batches'
  | 'judge'
>;

/** One pass over the rows. */
class Pass {
  readonly #failures: Iterator<Failure>;
  #failure: Failure | null;
  readonly #verdicts: ReadonlyMap<number, string>;
  readonly #selection: Selection;
  readonly #old = new Counter(risingEdges(25, 200_000, 1.35));
  readonly #new = new Counter(risingEdges(25, 200_000, 1.35));
  readonly #ratios = new Counter([
    0,
    ...risingEdges(1, 4000, 1.25)
      .slice(1)
      .map((edge) => edge / 100),
    1000,
  ]);
  readonly #states = new Map<RowState, number>();
  readonly #reasons = new Map<string, number>();
  readonly #flags = new Map<FlagName, number>(FLAG_NAMES.map((name) => [name, 0]));
  #rows = 0;
  #compared = 0;
  /** Rows whose final answers were compared (`--check answer`); without any, nothing is known of disagreement. */
  #checked = 0;

  constructor(folder: RunFolder, options: Pick<CollectOptions, 'sample' | 'rows'>) {
    this.#failures = failures(folder.failedRows);
    this.#failure = nextOf(this.#failures);
    this.#verdicts = verdictsOf(folder.judgements);
    this.#selection = new Selection(options.sample, options.rows);
  }

  add(row: ResultRow): void {
    const number = this.#rows++;
    while (this.#failure !== null && this.#failure.row < number) this.#failure = nextOf(this.#failures);
    const failure = this.#failure?.row === number ? this.#failure : null;
    const state = row.metadata?.state ?? failure?.state ?? (row.annotation === null ? 'pending' : 'ok');
    count(this.#states, state);
    count(this.#reasons, row.metadata?.finish_reason ?? REASONS[state]);
    const { annotation_original: old, annotation, reasoning = null } = row;
    if (old !== null) this.#old.add(old.length);
    if (annotation !== null) this.#new.add(annotation.length);
    const pair =
      old === null || annotation === null
        ? null
        : {
            old,
            new: annotation,
            state,
            similarity: similarity(old, annotation),
            agrees: row.agrees ?? null,
          };
    const flags = pair === null ? [] : flagsOf(pair);
    for (const flag of flags) count(this.#flags, flag);
    const change = pair === null || pair.old === '' ? null : 1 - pair.similarity;
    const ratio = pair === null || pair.old === '' ? null : pair.new.length / pair.old.length;
    if (pair !== null) this.#compared += 1;
    if (pair !== null && pair.agrees !== null) this.#checked += 1;
    if (ratio !== null) this.#ratios.add(ratio);
    this.#selection.add({ row: number, state, flags, change, ratio }, () => ({
      row: number,
      state,
      system: cut(row.system_prompt),
      prompt: cut(row.user_prompt ?? ''),
      old: old === null ? null : cut(old),
      new: annotation === null ? null : cut(annotation),
      reasoning: reasoning === null ? null : cut(reasoning),
      lengths: {
        prompt: row.user_prompt?.length ?? 0,
        old: old?.length ?? 0,
        new: annotation?.length ?? 0,
        reasoning: reasoning?.length ?? 0,
      },
      flags,
      change: change === null ? null : Math.round(change * 1000) / 1000,
      error: failure?.error ?? null,
      verdict: this.#verdicts.get(number) ?? null,
    }));
  }

  result(): Counted {
    const shown = this.#selection.rows;
    return {
      rows: this.#rows,
      states: Object.fromEntries(ROW_STATES.map((state) => [state, this.#states.get(state) ?? 0])),
      oldLengths: this.#old.distribution,
      newLengths: this.#new.distribution,
      ratios: this.#ratios.distribution,
      medians: { old: this.#old.median, new: this.#new.median },
      finishReasons: [...this.#reasons].sort((a, b) => b[1] - a[1]).slice(0, 12),
      flags: FLAG_NAMES.filter((name) => name !== 'disagrees' || this.#checked > 0).map((name) => ({
        name,
        rows: this.#flags.get(name) ?? 0,
      })),
      compared: this.#compared,
      shown,
      choice: this.#choice(shown),
    };
  }

  #choice(shown: readonly ShownRow[]): string {
    const number = (amount: number): string => amount.toLocaleString('en-US');
    if (shown.length === this.#rows) return `All ${number(this.#rows)} rows are shown.`;
    return (
      `${number(shown.length)} of ${number(this.#rows)} rows are shown: a random sample of ` +
      `${number(Math.min(this.#selection.sampled, shown.length))}, and those that changed most, grew and shrank most, ` +
      'failed, or are remarkable otherwise. Charts and counts are of all rows.'
    );
  }
}

/** Why an answer ended, where the row's metadata does not say. */
const REASONS: Readonly<Record<RowState, string>> = {
  ok: 'stop',
  truncated: 'length',
  refused: 'refusal',
  filtered: 'content_filter',
  failed: 'no answer: failed',
  pending: 'no answer: pending',
};

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function cut(text: string): string {
  return text.length <= LONGEST_SHOWN ? text : text.slice(0, LONGEST_SHOWN).toWellFormed();
}

interface Failure {
  row: number;
  state: RowState;
  error: string | null;
}

function* failures(path: string): Generator<Failure> {
  if (!existsSync(path)) return;
  for (const { bytes } of readLines(path)) {
    const value = parseJson(bytes.toString('utf8'));
    if (!isObject(value)) continue;
    const { request_idx: row, state, error } = value;
    if (typeof row !== 'number' || !ROW_STATES.includes(state as RowState)) continue;
    yield { row, state: state as RowState, error: typeof error === 'string' ? error.slice(0, 500) : null };
  }
}

function nextOf<Value>(iterator: Iterator<Value>): Value | null {
  const next = iterator.next();
  return next.done === true ? null : next.value;
}

function verdictsOf(path: string): Map<number, string> {
  const verdicts = new Map<number, string>();
  if (!existsSync(path)) return verdicts;
  for (const { bytes } of readLines(path)) {
    const value = parseJson(bytes.toString('utf8'));
    if (!isObject(value)) continue;
    const { request_idx: row, verdict } = value;
    if (typeof row === 'number' && typeof verdict === 'string') verdicts.set(row, verdict.slice(0, 20));
  }
  return verdicts;
}

function readJsonFile(path: string): unknown {
  if (!existsSync(path) || statSync(path).size > LARGEST_FILE) return null;
  return parseJson(readFileSync(path, 'utf8'));
}

function batchesOf(value: unknown): BatchFigures[] {
  const batches = Array.isArray(value) ? value.map(readBatch).filter((batch) => batch !== null) : [];
  return batches.map(({ id, status, counts, createdAt, inProgressAt, endedAt }) => ({
    id,
    status,
    requests: counts.total,
    queued: inProgressAt === null ? null : (inProgressAt - createdAt) / 60,
    worked: inProgressAt === null || endedAt === null ? null : (endedAt - inProgressAt) / 60,
  }));
}
