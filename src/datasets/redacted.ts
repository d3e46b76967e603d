/** A dataset without the secrets of this process: a server may repeat the token that it was sent in any cell or name. */

import { Unsearchable, type Redactor } from '../secrets/redactor.js';
import type { OpenDataset, SourceRow } from '../types.js';

/** The dataset with every secret in its rows, its columns' names and its facts replaced, before anything is kept or sent. */
export function redactedDataset(dataset: OpenDataset, redactor: Redactor): OpenDataset {
  const shown = dataset.columns.map((column) => redactor.text(column));
  const own = new Map(shown.map((column, index) => [column, dataset.columns[index] ?? column]));
  return {
    ...dataset,
    columns: shown,
    revision: redactor.value(dataset.revision),
    subset: redactor.value(dataset.subset),
    split: redactor.value(dataset.split),
    warnings: redactor.value(dataset.warnings),
    rows: (selection) => {
      const columns = selection.columns.map((column) => own.get(column) ?? column);
      return redactedRows(dataset.rows({ ...selection, columns }), redactor);
    },
  };
}

/**
 * Rows with every secret in them replaced. Not a generator: one around another takes three turns of the event loop's
 * queue for each row, which cost more than the search.
 */
export function redactedRows(rows: AsyncIterable<SourceRow>, redactor: Redactor): AsyncIterable<SourceRow> {
  return {
    [Symbol.asyncIterator]: () => {
      const source = rows[Symbol.asyncIterator]();
      const redacted = (next: IteratorResult<SourceRow>): IteratorResult<SourceRow> => {
        if (next.done !== true) next.value = redactedRow(next.value, redactor);
        return next;
      };
      return {
        next: () => source.next().then(redacted),
        return: async () => (await source.return?.()) ?? { done: true, value: undefined },
      };
    },
  };
}

function redactedRow(row: SourceRow, redactor: Redactor): SourceRow {
  const { index } = row;
  if ('problem' in row) return { index, problem: redactor.text(row.problem) };
  try {
    const value = redactor.value(row.value);
    return value === row.value ? row : { index, value };
  } catch (error) {
    if (error instanceof RangeError) {
      const problem = error instanceof Unsearchable ? error.message : 'is nested too deeply';
      return { index, problem: `row ${index} ${problem}` };
    }
    throw error;
  }
}
