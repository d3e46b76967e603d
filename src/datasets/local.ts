/** What local files have in common. */

import { createReadStream } from 'node:fs';
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
export async function* select(rows: AsyncIterable<SourceRow>, { offset, limit, signal }: RowSelection): AsyncGenerator<SourceRow> {
  const end = limit === null ? Infinity : offset + limit;
  if (end <= offset) return;
  for await (const row of rows) {
    signal?.throwIfAborted();
    if (row.index >= offset) yield row;
    if (row.index + 1 >= end) return;
  }
}

const NEWLINE = 0x0a;

export interface TextLine {
  /** Counted from 1, blank lines included. */
  number: number;
  text: string;
}

/** The lines of a file, split at `\n` alone; a byte order mark and `\r` at line ends are dropped. */
export async function* textLines(path: string): AsyncGenerator<TextLine> {
  let pending: Buffer[] = [];
  let number = 0;
  const line = (last: Buffer): TextLine => {
    const bytes = pending.length === 0 ? last : Buffer.concat([...pending, last]);
    pending = [];
    number += 1;
    let text = bytes.toString('utf8');
    if (number === 1 && text.startsWith('\ufeff')) text = text.slice(1);
    return { number, text: text.endsWith('\r') ? text.slice(0, -1) : text };
  };
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    const bytes = chunk as Buffer;
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      yield line(bytes.subarray(start, end));
      start = end + 1;
    }
    if (start < bytes.length) pending.push(bytes.subarray(start));
  }
  if (pending.length > 0) yield line(Buffer.alloc(0));
}
