/** A dataset whose rows are in memory. */

import type { OpenDataset, Reporter } from '../../src/types.js';

export const SILENT: Reporter = {
  debug: () => undefined,
  info: () => undefined,
  warning: () => undefined,
  error: () => undefined,
};

/** Its columns are those of all rows, in the order in which they come up. */
export function datasetOf(rows: readonly Readonly<Record<string, unknown>>[]): OpenDataset {
  return {
    columns: [...new Set(rows.flatMap((row) => Object.keys(row)))],
    totalRows: rows.length,
    revision: null,
    subset: null,
    split: null,
    lineFile: '/data.jsonl',
    warnings: [],
    async *rows({ columns }) {
      for (const [index, row] of rows.entries())
        yield await Promise.resolve({
          index,
          value: Object.fromEntries(Object.entries(row).filter(([name]) => columns.includes(name))),
        });
    },
  };
}
