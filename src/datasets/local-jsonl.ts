import { basename } from 'node:path';
import { UserError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import type { OpenDataset, RowSelection, SourceRow } from '../types.js';
import { parseRow } from './json-row.js';
import { ColumnNames, manyColumnsWarning, skipSpace } from '../lib/json-scan.js';
import { localDataset, type LocalRequest } from './local.js';
import { excessOf } from './row-limits.js';
import { RowPlaces, type RowPlace } from './row-places.js';
import { isAfterLineFeed, isUtf8File, type TextFile } from './text-file.js';
import { textLines, type TextLine } from './text-lines.js';

/**
 * A file of one JSON object a line. It is read through once to learn its columns, and so that wrong bytes are found
 * before anything is sent. A bad line is one row's problem; a file without a good one is refused.
 */
export async function openLocalJsonl({ file, signal }: LocalRequest): Promise<OpenDataset> {
  const names = new ColumnNames();
  // In other encodings a place in the text is none in the file.
  const places = isUtf8File(file) ? new RowPlaces() : null;
  let rows = 0;
  let first: TextLine | null = null;
  for await (const lines of textLines(file, signal)) {
    for (const line of lines) {
      if (isBlank(line)) continue;
      first ??= { ...line, bytes: Buffer.from(line.bytes) };
      if (excessOf(line) === null) names.learn(line.bytes);
      places?.note(rows, line);
      rows += 1;
    }
  }
  if (names.names.length === 0 && first !== null) refuseNoRows(file, first);
  const warnings = columnWarnings(names, file);
  const dataset = localDataset(
    names.names,
    rows,
    (selection) => jsonLines(file, selection, places),
    warnings,
  );
  return places === null ? dataset : { ...dataset, lineFile: file.path };
}

/** A sentence where a file has more columns than are kept. */
export function columnWarnings(names: ColumnNames, file: TextFile): string[] {
  return names.isFull ? [manyColumnsWarning(sanitize(basename(file.shown), 120))] : [];
}

function refuseNoRows(file: TextFile, first: TextLine): void {
  const row = readLine(first, 0, file, []);
  if (!('problem' in row)) return;
  throw new UserError(
    `${sanitize(file.shown, 300)} is not a JSON Lines file: ${row.problem}. Each line must be a JSON object.`,
  );
}

/** @param places of rows at which reading can start; null where it can only at the first one */
async function* jsonLines(
  file: TextFile,
  { columns, offset, limit, signal }: RowSelection,
  places: RowPlaces | null,
): AsyncGenerator<SourceRow> {
  const end = limit === null ? Infinity : offset + limit;
  const place = places?.before(offset) ?? undefined;
  if (place !== undefined) requireLineStart(file, place);
  let index = (place?.row ?? 0) - 1;
  for await (const lines of textLines(file, signal, place)) {
    for (const line of lines) {
      if (isBlank(line)) continue;
      index += 1;
      if (index >= end) return;
      if (index >= offset) yield readLine(line, index, file, columns);
      if (index + 1 >= end) return;
    }
  }
}

/** @throws UserError where a line no longer begins where it did */
function requireLineStart(file: TextFile, { offset }: RowPlace): void {
  if (offset === 0 || isAfterLineFeed(file, offset)) return;
  throw new UserError(
    `${sanitize(file.shown, 300)} changed while it was being read. Run the command again when nothing writes to it.`,
  );
}

/** One line as a row of the dataset. */
export function readLine(
  line: TextLine,
  index: number,
  file: TextFile,
  columns: readonly string[],
): SourceRow {
  const excess = excessOf(line);
  const row = excess === null ? parseRow(line.bytes.toString('utf8'), columns) : { problem: excess };
  if ('value' in row) return { index, value: row.value };
  return { index, problem: `line ${line.number} of ${sanitize(basename(file.shown), 120)} ${row.problem}` };
}

/** True for a line of nothing but white space. */
export function isBlank({ bytes, isCut }: TextLine): boolean {
  return !isCut && skipSpace(bytes, 0) === bytes.length;
}
