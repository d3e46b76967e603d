/** Whether a dataset that is read in another way than before still gives the requests that a run has sent. */

import { readLines } from '../lib/files.js';
import type { ChosenFormat } from '../formats/index.js';
import type { SourceRow } from '../types.js';
import { requestOf } from './jobs.js';
import { parseRow } from './row-line.js';
import { isUnusable, rowLine } from './rows.js';

/**
 * Compares the rows of a run with those that its dataset has now. Rows that the run could not use were never sent, so they
 * may be anything.
 * @param path of the run's `rows.jsonl`
 * @param source the same rows of the dataset
 * @returns the number of the first row with another request; null where all are the same
 */
export async function firstOtherRequest(
  path: string,
  source: AsyncIterable<SourceRow>,
  format: ChosenFormat,
): Promise<number | null> {
  const rows = source[Symbol.asyncIterator]();
  let number = 0;
  try {
    for (const { bytes } of readLines(path)) {
      const next = await rows.next();
      if (next.done === true) return number;
      if (!isUnusable(bytes) && !isSameRequest(bytes, next.value, format)) return number;
      number += 1;
    }
    return null;
  } finally {
    await rows.return?.(undefined);
  }
}

function isSameRequest(before: Buffer, row: SourceRow, format: ChosenFormat): boolean {
  const now = Buffer.from(rowLine(row, format).line);
  return !isUnusable(now) && requestText(now) === requestText(before);
}

function requestText(line: Buffer): string {
  return JSON.stringify(requestOf(parseRow(line)));
}
