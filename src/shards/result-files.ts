/** Into which files the results of a planned run go: one as a single machine writes it, or parts of whole shards. */

/** More rows than these are written in parts unless `--part_rows` says otherwise: hardly anything reads a larger JSON array. */
const MOST_ROWS_IN_ONE_FILE = 10_000_000;
const USUAL_PART_ROWS = 1_000_000;

/**
 * Groups of shards that follow each other, each with at least `partRows` rows but for the last one.
 * @param rows of each shard
 * @param partRows `Infinity` for one file whatever its size; null to decide by the number of rows
 * @returns null where the results go into one file
 */
export function partsOfShards(rows: readonly number[], partRows: number | null): number[][] | null {
  const total = rows.reduce((sum, one) => sum + one, 0);
  const size = partRows ?? (total > MOST_ROWS_IN_ONE_FILE ? USUAL_PART_ROWS : Infinity);
  if (size === Infinity) return null;
  const parts: number[][] = [];
  let filled = Infinity;
  rows.forEach((count, shard) => {
    if (filled >= size) {
      parts.push([]);
      filled = 0;
    }
    parts.at(-1)?.push(shard);
    filled += count;
  });
  return parts;
}
