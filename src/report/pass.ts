/** What all rows of a run come to, row by row: counts, lengths, flags, and the rows that the reader shows. */

import { ROW_STATES, type RowState } from '../types.js';
import type { ReportData } from './data.js';
import { Counter, risingEdges } from './distribution.js';
import { FLAG_NAMES, flagsOf, isOfPairs, type FlagName } from './flags.js';
import type { RowVerdict } from './judgements.js';
import { Selection } from './selection.js';
import { shownRow, type RowFacts } from './shown-row.js';
import { similarity } from '../lib/similarity.js';

const LENGTH_EDGES = risingEdges(25, 200_000, 1.35);
const RATIO_EDGES = [
  0,
  ...risingEdges(1, 4000, 1.25)
    .slice(1)
    .map((edge) => edge / 100),
  1000,
];
/** Reasons that an answer ended by, which are listed. */
const MOST_REASONS = 12;

export interface PassOptions {
  /** Rows that are chosen at random. */
  sample: number;
  /** Rows that are shown in any case. */
  rows: readonly number[];
  /** True where no others are shown. */
  onlyRows: boolean | undefined;
  verdicts: ReadonlyMap<number, RowVerdict>;
}

/** The part of a report that follows from its rows. */
export type Counted = Pick<
  ReportData,
  | 'rows'
  | 'states'
  | 'oldLengths'
  | 'newLengths'
  | 'reasoningLengths'
  | 'ratios'
  | 'lengths'
  | 'finishReasons'
  | 'flags'
  | 'compared'
  | 'shown'
  | 'choice'
>;

/** What is found in one row. */
interface Findings {
  flags: FlagName[];
  /** Share of the words that changed; null without an old and a new answer. */
  change: number | null;
  ratio: number | null;
  isPair: boolean;
}

export class Pass {
  readonly #selection: Selection;
  readonly #old = new Counter(LENGTH_EDGES);
  readonly #new = new Counter(LENGTH_EDGES);
  readonly #reasoning = new Counter(LENGTH_EDGES);
  readonly #ratios = new Counter(RATIO_EDGES);
  readonly #states = new Map<RowState, number>();
  readonly #reasons = new Map<string, number>();
  readonly #flags = new Map<FlagName, number>();
  #rows = 0;
  #compared = 0;
  /** Rows whose final answers were compared (`--check answer`); without any, nothing is known of disagreement. */
  #checked = 0;

  constructor(private readonly options: PassOptions) {
    this.#selection = new Selection(options.sample, options.rows, options.onlyRows);
  }

  /** Counts a row, which may become one that is shown. */
  add(number: number, facts: RowFacts): void {
    const found = findingsOf(facts);
    this.#count(facts, found, 1);
    const { state } = facts;
    const { flags, change, ratio } = found;
    const verdict = this.options.verdicts.get(number) ?? null;
    this.#selection.add({ row: number, state, flags, change, ratio }, () =>
      shownRow(facts, { number, flags, change, verdict }),
    );
  }

  /** Takes a row back that was added, because another answer replaces it. */
  remove(number: number, facts: RowFacts): void {
    this.#count(facts, findingsOf(facts), -1);
    this.#selection.remove(number);
  }

  #count({ row, state, figures }: RowFacts, { flags, ratio, isPair }: Findings, times: 1 | -1): void {
    const { annotation_original: old, annotation, reasoning = null } = row;
    this.#rows += times;
    count(this.#states, state, times);
    count(this.#reasons, figures?.finishReason ?? REASONS[state], times);
    if (old !== null) this.#old.add(old.length, times);
    if (annotation !== null) this.#new.add(annotation.length, times);
    if (reasoning !== null) this.#reasoning.add(reasoning.length, times);
    if (ratio !== null) this.#ratios.add(ratio, times);
    for (const flag of flags) count(this.#flags, flag, times);
    if (isPair) this.#compared += times;
    if (isPair && typeof row.agrees === 'boolean') this.#checked += times;
  }

  /** @param total rows of the run, where some were not added since nothing is known of them yet */
  result(total = this.#rows): Counted {
    const shown = this.#selection.rows;
    const states = ROW_STATES.map((state) => [state, this.#states.get(state) ?? 0] as const);
    const unknown = Math.max(0, total - this.#rows);
    const pending = (this.#states.get('pending') ?? 0) + unknown;
    const answered = total - pending;
    return {
      rows: total,
      states: { ...Object.fromEntries(states), pending },
      oldLengths: this.#old.distribution,
      newLengths: this.#new.distribution,
      reasoningLengths: this.#reasoning.total === 0 ? null : this.#reasoning.distribution,
      ratios: this.#ratios.distribution,
      lengths: {
        old: this.#old.quantiles,
        new: this.#new.quantiles,
        reasoning: this.#reasoning.quantiles,
      },
      finishReasons: this.#finishReasons(unknown),
      flags: FLAG_NAMES.filter((name) => name !== 'disagrees' || this.#checked > 0)
        .map((name) => ({
          name,
          rows: this.#flags.get(name) ?? 0,
          of: isOfPairs(name) ? this.#compared : answered,
        }))
        .filter(({ of }) => of > 0),
      compared: this.#compared,
      shown,
      choice: this.#choice(shown.length, total),
    };
  }

  #finishReasons(unknown: number): [string, number][] {
    const reasons = new Map(this.#reasons);
    if (unknown > 0) count(reasons, REASONS.pending, unknown);
    return [...reasons]
      .filter(([, rows]) => rows > 0)
      .sort((a, b) => b[1] - a[1])
      .slice(0, MOST_REASONS);
  }

  #choice(shown: number, total: number): string {
    const number = (amount: number): string => amount.toLocaleString('en-US');
    if (total === 0) return 'There are no rows yet.';
    if (shown === total)
      return total === 1 ? 'The only row is shown.' : `All ${number(total)} rows are shown.`;
    const from =
      this.#rows < total ? `${number(this.#rows)} rows with an answer so far` : `${number(total)} rows`;
    if (shown === this.#rows) return `All ${from} are shown.`;
    return (
      `${number(shown)} of ${from} are shown: a random sample of ` +
      `${number(Math.min(this.#selection.sampled, shown))}, and the rows that changed, grew or shrank most, failed, ` +
      'or have a flag. Charts and counts cover all rows.'
    );
  }
}

function findingsOf({ row, state }: RowFacts): Findings {
  const { annotation_original: old, annotation: now } = row;
  const alike = old === null || now === null ? null : similarity(old, now);
  const flags = flagsOf({
    ...{ old, new: now, state, similarity: alike, agrees: row.agrees ?? null },
    callsTools: (row.annotation_tool_calls?.length ?? 0) > 0,
  });
  const isMeasured = old !== null && now !== null && old !== '';
  return {
    flags,
    change: alike === null || !isMeasured ? null : 1 - alike,
    ratio: isMeasured ? now.length / old.length : null,
    isPair: alike !== null,
  };
}

/** Why an answer ended, where its finish reason is not known. */
const REASONS: Readonly<Record<RowState, string>> = {
  ok: 'stop',
  truncated: 'length',
  refused: 'refusal',
  filtered: 'content_filter',
  failed: 'no answer: failed',
  pending: 'no answer: pending',
};

function count<Key>(counts: Map<Key, number>, key: Key, times: number): void {
  counts.set(key, (counts.get(key) ?? 0) + times);
}
