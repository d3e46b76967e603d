/** What local files have in common. */

import type { OpenDataset, RowSelection, SourceRow } from '../types.js';
import type { TextFile } from './text-file.js';

/** What the reader of a kind of file is given. */
export interface LocalRequest {
  file: TextFile;
  split: string | null;
  signal: AbortSignal | undefined;
}

/** A dataset of one file, which has no revision, subset or split. */
export function localDataset(
  columns: string[],
  totalRows: number | null,
  rows: (selection: RowSelection) => AsyncIterable<SourceRow>,
  warnings: string[] = [],
): OpenDataset {
  return { columns, totalRows, revision: null, subset: null, split: null, warnings, rows };
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
