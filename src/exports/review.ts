/**
 * What a reader thought of rows, as the report saves it: one line of JSON for each row, with `request_idx`, `mark`
 * (`accept`, `reject`, `edit`), and `annotation` where it was edited. Output formats leave rejected rows out and take
 * edited answers; `reannotated.json` stays as it is.
 */

import { existsSync } from 'node:fs';
import { UserError } from '../lib/errors.js';
import { readLines } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import { count, sanitize } from '../lib/text.js';

const LONGEST_LINE = 16 << 20;
const MARKS = ['accept', 'reject', 'edit'];

/** Rows whose place in an output format is another than the run's own. */
export interface Review {
  /** Every row with a line, in the order of the file. */
  rows: ReadonlySet<number>;
  rejected: ReadonlySet<number>;
  /** Answers by row. */
  edited: ReadonlyMap<number, string>;
}

/**
 * Reads the lines that a report saved.
 * @param run id of the run that they must be about; null where it is not known yet
 * @param source what named the file, for messages
 * @throws UserError that names the line which can't be used
 */
export function readReview(path: string, run: string | null, source = '--review'): Review {
  const shown = sanitize(path, 200);
  if (!existsSync(path)) throw new UserError(`${source} ${shown}: there is no such file.`);
  const rows = new Set<number>();
  const rejected = new Set<number>();
  const edited = new Map<number, string>();
  let number = 0;
  for (const { bytes } of readLines(path, LONGEST_LINE)) {
    number += 1;
    const text = bytes.toString('utf8').trim();
    if (text === '') continue;
    const line = readLine(parseJson(text), `${source} ${shown}: line ${count(number)}`, run);
    rows.add(line.row);
    // The last line of a row counts.
    rejected.delete(line.row);
    edited.delete(line.row);
    if (line.mark === 'reject') rejected.add(line.row);
    if (line.mark === 'edit' && line.annotation !== null) edited.set(line.row, line.annotation);
  }
  return { rows, rejected, edited };
}

interface ReviewedRow {
  row: number;
  mark: string | null;
  annotation: string | null;
}

function readLine(value: unknown, place: string, run: string | null): ReviewedRow {
  if (!isObject(value))
    throw new UserError(`${place} is not a JSON object. Save the file from the report again.`);
  const { request_idx: row, mark = null, annotation = null, run: own } = value;
  if (typeof row !== 'number' || !Number.isSafeInteger(row) || row < 0)
    throw new UserError(`${place} has no request_idx, the number of its row.`);
  if (mark !== null && !MARKS.includes(mark as string))
    throw new UserError(
      `${place} has the mark ${sanitize(JSON.stringify(mark), 40)}; known are ${MARKS.join(', ')}.`,
    );
  if (mark === 'edit' && typeof annotation !== 'string')
    throw new UserError(`${place} is an edit without an annotation.`);
  if (run !== null && typeof own === 'string' && own !== run)
    throw new UserError(`${place} is about another run (${sanitize(own, 60)}); its rows are different ones.`);
  return {
    row,
    mark: mark as string | null,
    annotation: typeof annotation === 'string' ? annotation.toWellFormed() : null,
  };
}
