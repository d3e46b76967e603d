/** What the rows of a run came to, counted while they are written. */

import type { BufferedFile } from '../lib/files.js';
import type { Redactor } from '../secrets/redactor.js';
import type { RowState } from '../types.js';
import type { Outcome } from './row-outcome.js';

/** Characters of a model's name that are kept: it is untrusted. */
const LONGEST_MODEL = 200;
/** Different reasons that are counted, and those that are shown. */
const REASONS_KEPT = 1000;
const REASONS_SHOWN = 3;

export type RowCountsByState = Record<RowState, number> & { total: number };

/** Keys that either all rows of a file have or none. */
export interface OptionalKeys {
  /** `request_messages`: a row has a chat of several turns. */
  chats: boolean;
  /** `tools`, `annotation_original_tool_calls`, `annotation_tool_calls`: a row has some of them. */
  tools: boolean;
  /** `images`: a row has some. */
  images: boolean;
  /** `source`: columns of the dataset are kept. */
  source: boolean;
  /** `reasoning`: a row has some. */
  reasoning: boolean;
}

/** What the rows came to. */
export interface Assembled {
  rows: RowCountsByState;
  /** Answers by the model that gave them. */
  models: Map<string, number>;
  /** Answers of annotators other than the run's own, by their names. */
  others: Map<string, number>;
  /** The keys that rows have besides those that all have. */
  keys: OptionalKeys;
  /** Rows by whether their final answer is the original's; all 0 where that is not compared. */
  compared: { agree: number; disagree: number; unknown: number };
  /** Rows without an annotation. */
  missing: number;
  /** Rows that can't be used and that no further try will change. */
  unusable: number;
  /** The errors that came most often, most frequent first. */
  reasons: { error: string; rows: number }[];
  /** Rows whose lines can't be read after all, counted in their part, and where these are in its journal. */
  damaged: { part: number; row: number; offset: number }[];
}

/** A row needs a key that the rows before it do not have. */
export class KeyNeeded extends Error {
  constructor(readonly key: keyof OptionalKeys) {
    super(`rows need a key for ${key}`);
  }
}

/** The counts of results that are being written, in one file or several. */
export class AssemblyCounts {
  readonly result: Assembled;
  /** Why rows have no annotation, and how many. */
  readonly #reasons = new Map<string, { error: string; rows: number }>();

  /**
   * @param failedRows where rows are listed that did not end well
   * @param comparesAnswers true where answers are compared with the originals
   */
  constructor(
    keys: OptionalKeys,
    private readonly failedRows: BufferedFile,
    private readonly comparesAnswers: boolean,
  ) {
    this.result = {
      rows: { total: 0, ok: 0, truncated: 0, refused: 0, filtered: 0, failed: 0, pending: 0 },
      models: new Map(),
      others: new Map(),
      keys,
      compared: { agree: 0, disagree: 0, unknown: 0 },
      missing: 0,
      unusable: 0,
      reasons: [],
      damaged: [],
    };
  }

  /** Counts the answer of a model. */
  addModel(model: string | null): void {
    const name = model?.slice(0, LONGEST_MODEL) ?? 'unknown';
    const { models } = this.result;
    models.set(name, (models.get(name) ?? 0) + 1);
  }

  /** Counts a row with an ordinary answer. */
  addAnswered(model: string): void {
    this.addModel(model);
    this.result.rows.ok += 1;
    this.result.rows.total += 1;
  }

  /** Counts any other row. */
  add(outcome: Outcome, isUnusable: boolean): void {
    const { result } = this;
    const request = result.rows.total;
    result.rows[outcome.state] += 1;
    result.rows.total += 1;
    // Calls of tools are an answer.
    if (outcome.annotation === null && outcome.toolCalls === null) result.missing += 1;
    if (this.comparesAnswers)
      result.compared[outcome.agrees === null ? 'unknown' : outcome.agrees ? 'agree' : 'disagree'] += 1;
    if (isUnusable) result.unusable += 1;
    if (outcome.state === 'ok') return;
    this.failedRows.write(
      `${JSON.stringify({ request_idx: request, state: outcome.state, error: outcome.error })}\n`,
    );
    if (outcome.annotation === null && outcome.error !== null) this.#addReason(outcome.error);
  }

  /** Messages that differ only in numbers (other than the status) are one reason; the first one represents all. */
  #addReason(error: string): void {
    const text = error.slice(0, 200);
    const reason = `${text.slice(0, 3)}${text.slice(3).replace(/\d+/g, 'N')}`;
    const known = this.#reasons.get(reason);
    if (known !== undefined) known.rows += 1;
    else if (this.#reasons.size < REASONS_KEPT) this.#reasons.set(reason, { error: text, rows: 1 });
  }

  /** Ends the counting: names the most frequent reasons. */
  finish(): Assembled {
    const reasons = [...this.#reasons.values()].sort((a, b) => b.rows - a.rows);
    this.result.reasons = reasons.slice(0, REASONS_SHOWN);
    return this.result;
  }
}

/** Models with secrets in their names hidden. */
export function redactedModels(models: Assembled['models'], redactor: Redactor): Assembled['models'] {
  const shown: Assembled['models'] = new Map();
  for (const [model, answers] of models) {
    const name = redactor.text(model);
    shown.set(name, (shown.get(name) ?? 0) + answers);
  }
  return shown;
}
