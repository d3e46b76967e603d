/** The rows that all annotators are compared on: a sample of a dataset, the same one for the same seed. */

import { rankOf } from '../run/estimate.js';
import type { FoundDataset } from '../run/find-dataset.js';
import type { OpenDataset, SourceRow } from '../types.js';

/** With at least this many rows for each row of the sample, rows are looked up one by one instead of reading all. */
const ROWS_PER_LOOKUP = 200;

/** A dataset that holds the sampled rows alone, and how many rows they were chosen from. */
export interface SampledDataset extends FoundDataset {
  total: number;
}

interface Ranked {
  index: number;
  rank: number;
}

/** How many rows are chosen, and by which seed. */
export interface Draw {
  size: number;
  seed: number;
}

/**
 * Chooses rows, each with the same chance. A larger sample of the same seed holds the smaller one. Memory grows
 * with the sample alone.
 * @param part of the dataset that is meant
 */
export async function sampleDataset(
  { name, dataset, format }: FoundDataset,
  part: { offset: number; limit: number | null },
  draw: Draw,
  signal: AbortSignal,
): Promise<SampledDataset> {
  const { size, seed } = draw;
  const { columns } = format;
  const { totalRows } = dataset;
  const available = totalRows === null ? null : Math.min(totalRows - part.offset, part.limit ?? Infinity);
  const { rows, total } =
    available !== null && available > size * ROWS_PER_LOOKUP
      ? {
          rows: await lookUp(
            dataset,
            lowestOf(available, size, seed).map((place) => part.offset + place),
            columns,
            signal,
          ),
          total: available,
        }
      : await readThrough(dataset, { columns, ...part, signal }, draw);
  const sampled: OpenDataset = {
    ...dataset,
    totalRows: rows.length,
    async *rows({ offset, limit }) {
      for (const [index, row] of rows.slice(offset, limit === null ? undefined : offset + limit).entries())
        yield await Promise.resolve({ ...row, index: offset + index });
    },
  };
  // Rows are not where these would say.
  delete sampled.lineFile;
  delete sampled.groupStarts;
  return { name, dataset: sampled, format, total };
}

/** The places of the rows with the lowest ranks, in their order. */
function lowestOf(total: number, size: number, seed: number): number[] {
  let kept: Ranked[] = [];
  for (let index = 0; index < total; index++) {
    kept.push({ index, rank: rankOf(index, seed) });
    if (kept.length >= 2 * size + 1000) kept = lowest(kept, size);
  }
  return lowest(kept, size)
    .map(({ index }) => index)
    .sort((a, b) => a - b);
}

function lowest<Row extends Ranked>(rows: Row[], size: number): Row[] {
  return rows.sort((a, b) => a.rank - b.rank || a.index - b.index).slice(0, size);
}

async function lookUp(
  dataset: OpenDataset,
  places: readonly number[],
  columns: readonly string[],
  signal: AbortSignal,
): Promise<SourceRow[]> {
  const rows: SourceRow[] = [];
  for (const place of places)
    for await (const row of dataset.rows({ columns, offset: place, limit: 1, signal })) rows.push(row);
  return rows;
}

async function readThrough(
  dataset: OpenDataset,
  selection: { columns: readonly string[]; offset: number; limit: number | null; signal: AbortSignal },
  { size, seed }: Draw,
): Promise<{ rows: SourceRow[]; total: number }> {
  let kept: (Ranked & { row: SourceRow })[] = [];
  let total = 0;
  for await (const row of dataset.rows(selection)) {
    kept.push({ index: total, rank: rankOf(total, seed), row });
    total += 1;
    if (kept.length >= 2 * size + 1000) kept = lowest(kept, size);
  }
  const rows = lowest(kept, size).sort((a, b) => a.index - b.index);
  return { rows: rows.map(({ row }) => row), total };
}
