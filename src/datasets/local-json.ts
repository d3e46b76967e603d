import { basename } from 'node:path';
import { UserError } from '../lib/errors.js';
import { breather } from '../lib/files.js';
import { inert } from '../lib/text.js';
import type { OpenDataset, RowSelection, SourceRow } from '../types.js';
import { documentRows, findLayout, type Layout } from './json-document.js';
import { parseRow } from './json-row.js';
import { ColumnNames } from '../lib/json-scan.js';
import { columnWarnings } from './local-jsonl.js';
import { localDataset, type LocalRequest } from './local.js';
import type { TextFile } from './text-file.js';

const ROWS_BETWEEN_BREATHS = 100;

/** A JSON file of any size: rows in an array, one after the other, by split or by column. */
export async function openLocalJson({ file, split, signal }: LocalRequest): Promise<OpenDataset> {
  const layout = findLayout(file, split);
  const names = new ColumnNames();
  let rows = 0;
  let firstProblem: string | null = null;
  const pause = breather();
  for (const text of documentRows(file, layout)) {
    if (names.names.length === 0) firstProblem ??= problemOf(text, rows, file);
    names.learn(text);
    rows += 1;
    if (rows % ROWS_BETWEEN_BREATHS === 0) {
      signal?.throwIfAborted();
      await pause();
    }
  }
  if (names.names.length === 0 && firstProblem !== null)
    throw new UserError(`${inert(file.shown, 300)}: ${firstProblem}.`);
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
  const pause = breather();
  for (const text of documentRows(file, layout)) {
    index += 1;
    if (index >= end) return;
    if (index >= offset) yield readRow(text, index, file, columns);
    if (index % ROWS_BETWEEN_BREATHS === 0) {
      signal?.throwIfAborted();
      await pause();
    }
  }
}

/** Broken JSON inside an array ends the file: where the next row starts is not certain. */
function readRow(text: Buffer, index: number, file: TextFile, columns: readonly string[]): SourceRow {
  const row = parseRow(text.toString('utf8'), columns);
  if ('value' in row) return { index, value: row.value };
  if (!row.isJson) {
    throw new UserError(
      `${inert(file.shown, 300)} is not proper JSON: row ${index} ${row.problem}. A file of one object a line is named .jsonl.`,
    );
  }
  return { index, problem: `row ${index} of ${inert(basename(file.shown), 120)} ${row.problem}` };
}

function problemOf(text: Buffer, index: number, file: TextFile): string | null {
  const row = readRow(text, index, file, []);
  return 'problem' in row ? row.problem : null;
}
