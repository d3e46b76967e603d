/** What local files have in common. */

import { MOST_COLUMNS } from '../lib/json-scan.js';
import type { OpenDataset, RowSelection, SourceRow } from '../types.js';
import type { TextFile } from './text-file.js';

/** What the reader of a kind of file is given. */
export interface LocalRequest {
  file: TextFile;
  split: string | null;
  signal: AbortSignal | undefined;
}

/** Opens one file. */
export type OpenFile = (request: LocalRequest) => Promise<OpenDataset>;

/** A dataset of one file, which has no revision, subset or split. */
export function localDataset(
  columns: string[],
  totalRows: number,
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

/** Warnings that are kept of the files of one dataset. */
const MOST_WARNINGS = 10;

/** Several datasets as one: their columns together, their rows one after the other and numbered through. */
export function concatenated(parts: readonly OpenDataset[]): OpenDataset {
  const [first] = parts;
  if (first === undefined) throw new Error('a dataset of no files');
  if (parts.length === 1) return first;
  const columns = new Set(parts.flatMap((part) => part.columns));
  const warnings = parts.flatMap((part) => part.warnings);
  const more = warnings.length - MOST_WARNINGS;
  const starts = startsOfParts(parts);
  return {
    ...unseekable(first),
    ...(starts === null ? {} : { groupStarts: starts }),
    columns: [...columns].slice(0, MOST_COLUMNS),
    totalRows: parts.reduce((sum, part) => sum + (part.totalRows ?? 0), 0),
    warnings:
      more > 0 ? [...warnings.slice(0, MOST_WARNINGS), `${more} more warnings like these.`] : warnings,
    repeatedColumns: [...new Set(parts.flatMap((part) => part.repeatedColumns ?? []))],
    rows: (selection) => rowsOfParts(parts, selection),
  };
}

/** Where reading can start in all parts; null where that is only at the start of one of them. */
function startsOfParts(parts: readonly OpenDataset[]): NonNullable<OpenDataset['groupStarts']> | null {
  if (parts.some(({ groupStarts }) => groupStarts === undefined)) return null;
  return async () => {
    const all: number[] = [];
    let first = 0;
    for (const { groupStarts, totalRows } of parts) {
      const starts = (await groupStarts?.()) ?? null;
      if (starts === null) return null;
      all.push(...starts.map((row) => row + first));
      first += totalRows ?? 0;
    }
    return all;
  };
}

/** A dataset whose file is here only while it is read, so that nobody else can read a part of it. */
export function unseekable(dataset: OpenDataset): OpenDataset {
  const { lineFile: _, groupStarts: __, ...others } = dataset;
  return others;
}

async function* rowsOfParts(
  parts: readonly OpenDataset[],
  { columns, offset, limit, signal }: RowSelection,
): AsyncGenerator<SourceRow> {
  const end = limit === null ? Infinity : offset + limit;
  let start = 0;
  for (const part of parts) {
    const rows = part.totalRows ?? 0;
    const from = Math.max(0, offset - start);
    const to = Math.min(rows, end - start);
    if (from < to) {
      const selection = {
        columns,
        offset: from,
        limit: to - from,
        ...(signal === undefined ? {} : { signal }),
      };
      for await (const row of part.rows(selection)) yield { ...row, index: row.index + start };
    }
    start += rows;
  }
}
