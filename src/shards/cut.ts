/** How many shards a dataset is cut into, and where: contiguous rows, so that merging is appending. */

/**
 * Shards that each worker should have: with one each, 128 uneven workers take 3.1 times the ideal time, with 16 each
 * 1.11 times (`npm run bench shards`).
 */
export const SHARDS_A_WORKER = 16;
/** Fewer rows in a shard are not worth the files and the start that each shard costs. */
const LEAST_ROWS = 50_000;
/** Workers that are counted on where nobody says how many: their shards fit into one Slurm array of 1,001. */
const USUAL_WORKERS = 60;

/**
 * How `--shards auto` decides; small datasets are cut below the least size, so that there is something to share.
 * @param inBatches true where workers wait for batches: one shard each then, since a worker waits for one at a time
 */
export function shardsFor(rows: number, workers: number | null, inBatches = false): number {
  if (inBatches && workers !== null) return Math.max(1, Math.min(workers, rows));
  const wanted = SHARDS_A_WORKER * (workers ?? USUAL_WORKERS);
  const most = Math.max(SHARDS_A_WORKER, Math.ceil(rows / LEAST_ROWS));
  return Math.max(1, Math.min(wanted, most, rows));
}

/** Rows that follow each other. */
export interface RowRange {
  /** The first, counted from the dataset's first row. */
  start: number;
  rows: number;
}

/** How far a cut moves to where reading can start at once, as a part of a shard. */
const SNAP = 0.25;

/**
 * Cuts rows into ranges of nearly the same size.
 * @param starts rows at which reading can start at once, in order; empty where that is so for every row
 * @returns as many as are wanted, and none without a row
 */
export function cutRows(
  { start, rows }: RowRange,
  shards: number,
  starts: readonly number[] = [],
): RowRange[] {
  const wanted = Math.max(1, Math.min(shards, rows));
  const size = rows / wanted;
  const cuts = [start];
  for (let shard = 1; shard < wanted; shard++) {
    const ideal = start + Math.round(shard * size);
    const near = nearestTo(starts, ideal);
    const snapped = near !== null && Math.abs(near - ideal) <= size * SNAP ? near : ideal;
    // Later cuts need a row each as well.
    const latest = start + rows - (wanted - shard);
    cuts.push(Math.min(Math.max(snapped, (cuts.at(-1) ?? start) + 1), latest));
  }
  return cuts.map((first, shard) => ({ start: first, rows: (cuts[shard + 1] ?? start + rows) - first }));
}

/** Of some numbers in order the one nearest to another; null where there are none. */
function nearestTo(sorted: readonly number[], wanted: number): number | null {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  const after = sorted[low];
  const before = sorted[low - 1];
  if (after === undefined) return before ?? null;
  return before !== undefined && wanted - before <= after - wanted ? before : after;
}
