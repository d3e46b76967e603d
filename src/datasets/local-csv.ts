import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { parse, type CsvError } from 'csv-parse';
import { UserError } from '../errors.js';
import { inert } from '../text.js';
import type { DatasetRequest, OpenDataset, SourceRow } from '../types.js';
import { localDataset, select, textLines } from './local.js';

/** A CSV file with a header row; `;` and tabs are found out as delimiters. Cells are text, empty ones included. */
export async function openLocalCsv(request: DatasetRequest): Promise<OpenDataset> {
  const path = request.dataset;
  const delimiter = findDelimiter(path);
  const records = readRecords(path, delimiter);
  const header = (await records.next()).value as CsvRecord | undefined;
  if (header === undefined) throw new UserError(`${path} is empty.`);
  await records.return(undefined);
  const columns = header.record.map((name) => name.trim());
  if (columns.length === 1 && columns[0] === '') throw new UserError(`${path} has no header row.`);
  return localDataset(columns, null, (selection) => select(csvRows(path, delimiter, columns), selection));
}

function findDelimiter(path: string): string {
  for (const { text } of textLines(path)) {
    if (text.trim() === '') continue;
    if (text.includes(',')) return ',';
    return text.includes(';') ? ';' : text.includes('\t') ? '\t' : ',';
  }
  return ',';
}

async function* csvRows(path: string, delimiter: string, columns: string[]): AsyncGenerator<SourceRow> {
  let index = -1;
  for await (const { record, line } of readRecords(path, delimiter)) {
    index += 1;
    if (index === 0) continue;
    yield rowOf(record, line, index - 1, columns, path);
  }
}

function rowOf(record: string[], line: number, index: number, columns: string[], path: string): SourceRow {
  if (record.length !== columns.length) {
    const problem = `the row that ends at line ${line} of ${basename(path)} has ${record.length} cells, the header ${columns.length}`;
    return { index, problem };
  }
  return { index, value: Object.fromEntries(columns.map((column, position) => [column, record[position]])) };
}

interface CsvRecord {
  record: string[];
  /** The line at which the record ends, counted from 1. */
  line: number;
}

async function* readRecords(path: string, delimiter: string): AsyncGenerator<CsvRecord> {
  const parser = parse({
    bom: true,
    delimiter,
    relax_column_count: true,
    skip_empty_lines: true,
    info: true,
  });
  const stream = createReadStream(path);
  stream.on('error', (error) => parser.destroy(error));
  try {
    for await (const item of stream.pipe(parser)) {
      const { record, info } = item as { record: string[]; info: { lines: number } };
      yield { record, line: info.lines };
    }
  } catch (error) {
    const { code, message } = error as CsvError;
    if (!code.startsWith('CSV_')) throw error;
    throw new UserError(`${path} is not proper CSV: ${inert(message, 200)}.`);
  } finally {
    stream.destroy();
  }
}
