/** What local files have in common. */

import { readLines } from '../files.js';
import type { OpenDataset, RowSelection, SourceRow } from '../types.js';

/** Rows that are looked at to learn the columns. */
export const ROWS_FOR_COLUMNS = 100;

/** A dataset of one file, which has no revision, subset or split. */
export function localDataset(
  columns: string[],
  totalRows: number | null,
  rows: (selection: RowSelection) => AsyncIterable<SourceRow>,
): OpenDataset {
  return { columns, totalRows, revision: null, subset: null, split: null, warnings: [], rows };
}

/** The names of the columns of some rows, in order of first appearance. */
export function columnsOf(rows: readonly Record<string, unknown>[]): string[] {
  return [...new Set(rows.flatMap((row) => Object.keys(row)))];
}

/** Reads rows until there are enough to know the columns. */
export async function firstRows(rows: AsyncIterable<SourceRow>): Promise<SourceRow[]> {
  const first: SourceRow[] = [];
  for await (const row of rows) {
    first.push(row);
    if (first.length >= ROWS_FOR_COLUMNS) break;
  }
  return first;
}

/** The rows of a selection, out of a stream that has all of them. */
export async function* select(
  rows: AsyncIterable<SourceRow>,
  { offset, limit, signal }: RowSelection,
): AsyncGenerator<SourceRow> {
  const end = limit === null ? Infinity : offset + limit;
  if (end <= offset) return;
  for await (const row of rows) {
    signal?.throwIfAborted();
    if (row.index >= offset) yield row;
    if (row.index + 1 >= end) return;
  }
}

export interface TextLine {
  /** Counted from 1, blank lines included. */
  number: number;
  text: string;
}

/** The lines of a file, split at `\n` alone; a byte order mark and `\r` at line ends are dropped. */
export function* textLines(path: string): Generator<TextLine> {
  let number = 0;
  for (const { bytes } of readLines(path)) {
    number += 1;
    let text = bytes.toString('utf8');
    if (number === 1 && text.startsWith('\ufeff')) text = text.slice(1);
    yield { number, text: text.endsWith('\r') ? text.slice(0, -1) : text };
  }
}
