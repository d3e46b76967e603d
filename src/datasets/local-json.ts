import { basename } from 'node:path';
import { UserError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import type { OpenDataset, RowSelection, SourceRow } from '../types.js';
import { documentRows, findLayout, type Layout } from './json-document.js';
import { parseRow } from './json-row.js';
import { excessOf, type RawRow } from './row-limits.js';
import { ColumnNames } from '../lib/json-scan.js';
import { columnWarnings } from './local-jsonl.js';
import { localDataset, type LocalRequest } from './local.js';
import type { TextFile } from './text-file.js';

/** A JSON file of any size: rows in an array, one after the other, by split or by column. */
export async function openLocalJson({ file, split, signal }: LocalRequest): Promise<OpenDataset> {
  const layout = await findLayout(file, split, signal);
  const names = new ColumnNames();
  let rows = 0;
  let firstProblem: string | null = null;
  for await (const row of documentRows(file, layout, signal)) {
    if (names.names.length === 0) firstProblem ??= problemOf(row, rows, file);
    if (excessOf(row) === null) names.learn(row.bytes);
    rows += 1;
  }
  if (names.names.length === 0 && firstProblem !== null)
    throw new UserError(`${sanitize(file.shown, 300)}: ${firstProblem}.`);
  return {
    ...localDataset(
      names.names,
      rows,
      (selection) => jsonRows(file, layout, selection),
      columnWarnings(names, file),
    ),
    split: layout.kind === 'splits' ? layout.split : null,
  };
}

async function* jsonRows(
  file: TextFile,
  layout: Layout,
  { columns, offset, limit, signal }: RowSelection,
): AsyncGenerator<SourceRow> {
  const end = limit === null ? Infinity : offset + limit;
  let index = -1;
  for await (const row of documentRows(file, layout, signal)) {
    index += 1;
    if (index >= end) return;
    if (index >= offset) yield readRow(row, index, file, columns);
  }
}

/** Broken JSON inside an array ends the file: where the next row starts is not certain. */
function readRow(raw: RawRow, index: number, file: TextFile, columns: readonly string[]): SourceRow {
  const excess = excessOf(raw);
  const row =
    excess === null ? parseRow(raw.bytes.toString('utf8'), columns) : { problem: excess, isJson: true };
  if ('value' in row) return { index, value: row.value };
  if (!row.isJson) {
    throw new UserError(
      `${sanitize(file.shown, 300)} is not valid JSON: row ${index} ${row.problem}. A file with one object per line should be named .jsonl.`,
    );
  }
  return { index, problem: `row ${index} of ${sanitize(basename(file.shown), 120)} ${row.problem}` };
}

function problemOf(raw: RawRow, index: number, file: TextFile): string | null {
  const row = readRow(raw, index, file, []);
  return 'problem' in row ? row.problem : null;
}
