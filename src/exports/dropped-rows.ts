/** Rows of complete results that the output formats leave out. `reannotated.json` keeps them all. */

import { existsSync } from 'node:fs';
import { readLines } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { ROW_STATES, type RowState } from '../types.js';
import type { DropTest } from './drop-tests.js';
import type { Results } from './exporter.js';
import { readResults } from './rows.js';

/** No line of `failed_rows.jsonl` is longer. */
const LONGEST_LINE = 1 << 20;

/** Which rows are dropped, and why: a byte for each. */
export class DroppedRows {
  readonly #reasonOf: Uint8Array;
  readonly #counts: number[];

  /** @param reasons fewer than 255 */
  constructor(
    rows: number,
    private readonly reasons: readonly string[],
  ) {
    this.#reasonOf = new Uint8Array(rows);
    this.#counts = reasons.map(() => 0);
  }

  has(row: number): boolean {
    return this.#reasonOf[row] !== 0;
  }

  /** @param reason its place among the reasons */
  add(row: number, reason: number): void {
    this.#reasonOf[row] = reason + 1;
    this.#counts[reason] = (this.#counts[reason] ?? 0) + 1;
  }

  /** Rows by reason, those without any as well. */
  get counts(): ReadonlyMap<string, number> {
    return new Map(this.reasons.map((reason, place) => [reason, this.#counts[place] ?? 0]));
  }

  get size(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }
}

/**
 * Reads the results once, row by row.
 * @param results with the answers that a review changed, since these are what is exported
 * @param failedRows the path of `failed_rows.jsonl`, which names the rows that are not `ok`
 */
export async function findDroppedRows(
  results: Pick<Results, 'path' | 'review' | 'onProgress'>,
  { rows, failedRows }: { rows: number; failedRows: string },
  tests: readonly DropTest[],
): Promise<DroppedRows> {
  const dropped = new DroppedRows(
    rows,
    tests.map(({ reason }) => reason),
  );
  const states = statesIn(failedRows, rows);
  await readResults(results, (line) => {
    const row = line.parse();
    const state = ROW_STATES[states[line.row] ?? 0] ?? 'ok';
    const reason = tests.findIndex(({ drops }) => drops(row, state));
    if (reason !== -1) dropped.add(line.row, reason);
  });
  return dropped;
}

/** The place of each row's state among `ROW_STATES`. */
function statesIn(failedRows: string, rows: number): Uint8Array {
  const states = new Uint8Array(rows).fill(ROW_STATES.indexOf('ok'));
  if (!existsSync(failedRows)) return states;
  for (const { bytes } of readLines(failedRows, LONGEST_LINE)) {
    const line = parseJson(bytes.toString('utf8'));
    if (!isObject(line) || typeof line['request_idx'] !== 'number') continue;
    const state = ROW_STATES.indexOf(line['state'] as RowState);
    if (state !== -1) states[line['request_idx']] = state;
  }
  return states;
}
