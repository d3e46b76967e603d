import { basename } from 'node:path';
import { UserError } from '../lib/errors.js';
import { breather } from '../lib/files.js';
import { inert } from '../lib/text.js';
import type { OpenDataset, RowSelection, SourceRow } from '../types.js';
import { parseRow } from './json-row.js';
import { ColumnNames, manyColumnsWarning, skipSpace } from '../lib/json-scan.js';
import { localDataset, type LocalRequest } from './local.js';
import { isUtf8File, textLines, type TextFile, type TextLine } from './text-file.js';

/** Rows between two checks whether anything else is waiting for a turn. */
const ROWS_BETWEEN_BREATHS = 100;

/**
 * A file of one JSON object a line. It is read through once to learn its columns, and so that wrong bytes are found
 * before anything is sent. A bad line is one row's problem; a file without a good one is refused.
 */
export async function openLocalJsonl({ file, signal }: LocalRequest): Promise<OpenDataset> {
  const names = new ColumnNames();
  let rows = 0;
  let first: TextLine | null = null;
  const pause = breather();
  for (const line of textLines(file)) {
    if (isBlank(line)) continue;
    first ??= { number: line.number, bytes: Buffer.from(line.bytes) };
    names.learn(line.bytes);
    rows += 1;
    if (rows % ROWS_BETWEEN_BREATHS === 0) {
      signal?.throwIfAborted();
      await pause();
    }
  }
  if (names.names.length === 0 && first !== null) refuseNoRows(file, first);
  const warnings = columnWarnings(names, file);
  const dataset = localDataset(names.names, rows, (selection) => jsonLines(file, selection), warnings);
  return isUtf8File(file) ? { ...dataset, lineFile: file.path } : dataset;
}

/** A sentence where a file has more columns than are kept. */
export function columnWarnings(names: ColumnNames, file: TextFile): string[] {
  return names.isFull ? [manyColumnsWarning(inert(basename(file.shown), 120))] : [];
}

function refuseNoRows(file: TextFile, first: TextLine): void {
  const row = parseRow(first.bytes.toString('utf8'), []);
  if (!('problem' in row)) return;
  throw new UserError(
    `${inert(file.shown, 300)} is not a JSON Lines file: line ${first.number} of ${inert(basename(file.shown), 120)} ` +
      `${row.problem}. Each line must be a JSON object.`,
  );
}

async function* jsonLines(
  file: TextFile,
  { columns, offset, limit, signal }: RowSelection,
): AsyncGenerator<SourceRow> {
  const end = limit === null ? Infinity : offset + limit;
  let index = -1;
  const pause = breather();
  for (const line of textLines(file)) {
    if (isBlank(line)) continue;
    index += 1;
    if (index >= end) return;
    if (index >= offset) yield readLine(line, index, file, columns);
    if (index % ROWS_BETWEEN_BREATHS === 0) {
      signal?.throwIfAborted();
      await pause();
    }
  }
}

/** One line as a row of the dataset. */
export function readLine(
  line: TextLine,
  index: number,
  file: TextFile,
  columns: readonly string[],
): SourceRow {
  const row = parseRow(line.bytes.toString('utf8'), columns);
  if ('value' in row) return { index, value: row.value };
  return { index, problem: `line ${line.number} of ${inert(basename(file.shown), 120)} ${row.problem}` };
}

/** True for a line of nothing but white space. */
export function isBlank({ bytes }: TextLine): boolean {
  return skipSpace(bytes, 0) === bytes.length;
}
