import { basename } from 'node:path';
import { UserError } from '../lib/errors.js';
import { cooperativePause } from '../lib/files.js';
import { count, sanitize, plural } from '../lib/text.js';
import type { OpenDataset, SourceRow } from '../types.js';
import {
  CsvReader,
  UnclosedQuote,
  type BackslashEvidence,
  type CsvDialect,
  type CsvRecord,
} from './csv-records.js';
import { manyColumnsWarning, MOST_COLUMNS } from '../lib/json-scan.js';
import { readFileName } from './file-names.js';
import { localDataset, select, type LocalRequest } from './local.js';
import { utf8Pieces, type TextFile } from './text-file.js';

/** Tried in this order; of a `.tsv` file the tab comes first. */
const DELIMITERS = [',', ';', '\t', '|'];
const RECORDS_TO_COMPARE = 50;
/** `sep=;` as a first line is Excel's own way to name the delimiter. */
const SEPARATOR_LINE = /^"?sep=([^"\r\n])"?(?:\r\n|\r|\n|$)/i;

/** How a file is read. */
interface Csv {
  file: TextFile;
  dialect: CsvDialect;
  /** The first ones alone where there are more than are kept. */
  columns: string[];
  /** Cells of the header. */
  width: number;
  /** Records before the first row: the header, and a line that names the delimiter. */
  headers: number;
}

/**
 * A CSV or TSV file with a header row. It is read through once before anything else, so that an unclosed quote or a
 * wrong byte far down is found before anything is sent. Cells are text, empty ones included.
 */
export async function openLocalCsv({ file, signal }: LocalRequest): Promise<OpenDataset> {
  const csv = await readHeader(file, signal);
  const survey = await surveyRecords(csv, signal);
  const { inside, atEnd } = survey.evidence;
  // Only where every such quote makes sense as an escaped one.
  if (inside > 0 && atEnd === 0) csv.dialect = { ...csv.dialect, backslash: true };
  const { rows, warnings } = csv.dialect.backslash ? await surveyRecords(csv, signal) : survey;
  const name = sanitize(basename(file.shown), 120);
  const all = csv.width > MOST_COLUMNS ? [...warnings, manyColumnsWarning(name)] : warnings;
  const dataset = localDataset(csv.columns, rows, (selection) => select(csvRows(csv), selection), all);
  return { ...dataset, repeatedColumns: repeated(csv.columns) };
}

async function readHeader(file: TextFile, signal: AbortSignal | undefined): Promise<Csv> {
  const pieces = utf8Pieces(file);
  const sample = (pieces.next().value as Buffer | undefined)?.toString('utf8') ?? '';
  pieces.return(undefined);
  const path = sanitize(file.shown, 300);
  if (sample.trim() === '') throw new UserError(`${path} is empty.`);
  const separator = SEPARATOR_LINE.exec(sample)?.[1];
  const delimiter = separator ?? findDelimiter(sample, readFileName(file.shown).isTabbed);
  const headers = separator === undefined ? 1 : 2;
  const dialect = { delimiter, backslash: false };
  const header = await recordAt(headers - 1, { file, dialect }, signal);
  const excess = header?.excess ?? null;
  if (excess !== null) throw new UserError(`The header row of ${path} ${excess}.`);
  if (header === undefined || header.cells.every((cell) => cell.trim() === '')) {
    throw new UserError(`${path} has no header row.`);
  }
  const { length: width } = header.cells;
  return { file, dialect, headers, width, columns: columnNames(header.cells.slice(0, MOST_COLUMNS)) };
}

/** One of the first records, however long it is. */
async function recordAt(
  place: number,
  { file, dialect }: Pick<Csv, 'file' | 'dialect'>,
  signal: AbortSignal | undefined,
): Promise<CsvRecord | undefined> {
  const pause = cooperativePause();
  let before = 0;
  for (const batch of recordBatches({ file, dialect })) {
    const record = batch[place - before];
    if (record !== undefined) return record;
    before += batch.length;
    signal?.throwIfAborted();
    await pause();
  }
  return undefined;
}

/** A column without a name is called as pandas calls it. */
function columnNames(cells: readonly string[]): string[] {
  return cells.map((cell, place) => (cell.trim() === '' ? `Unnamed: ${place}` : cell.trim()));
}

/** The delimiter by which the first records have as many cells as the header; of several the one that makes most cells. */
function findDelimiter(sample: string, isTsv: boolean): string {
  const order = isTsv ? ['\t', ...DELIMITERS.filter((one) => one !== '\t')] : DELIMITERS;
  const scores = order.map((delimiter) => {
    const records = firstRecords(sample, { delimiter, backslash: false });
    const cells = records[0]?.cells.length ?? 1;
    const alike =
      records.filter((record) => record.cells.length === cells).length / Math.max(1, records.length);
    return { delimiter, cells, alike };
  });
  const several = scores.filter(({ cells }) => cells > 1);
  return several.toSorted((a, b) => b.alike - a.alike || b.cells - a.cells)[0]?.delimiter ?? order[0] ?? ',';
}

function firstRecords(sample: string, dialect: CsvDialect): CsvRecord[] {
  const reader = new CsvReader(dialect);
  const records = reader.push(sample);
  // The last may be cut off; where it is the only one it is the header of a short file.
  if (records.length < 2) {
    try {
      records.push(...reader.end());
    } catch {
      // Said when the rows are read.
    }
  }
  return records.slice(0, RECORDS_TO_COMPARE);
}

/** What a first reading of all records finds. */
interface Survey {
  rows: number;
  warnings: string[];
  evidence: BackslashEvidence;
}

async function surveyRecords(csv: Csv, signal: AbortSignal | undefined): Promise<Survey> {
  let records = 0;
  let short = 0;
  let firstShort = 0;
  const reader = new CsvReader(csv.dialect);
  const pause = cooperativePause();
  for (const batch of recordBatches(csv, reader)) {
    for (const { cells, excess, line } of batch) {
      records += 1;
      if (records <= csv.headers || excess !== null || cells.length >= csv.width) continue;
      short += 1;
      if (short === 1) firstShort = line;
    }
    signal?.throwIfAborted();
    await pause();
  }
  const name = sanitize(basename(csv.file.shown), 120);
  const warnings: string[] = [];
  if (short > 0) {
    warnings.push(
      `${plural(short, 'row')} of ${name} ${short === 1 ? 'has' : 'have'} fewer cells than the header (the first at line ` +
        `${count(firstShort)}); the missing cells count as empty.`,
    );
  }
  const { evidence } = reader;
  if (evidence.inside > 0 && evidence.atEnd > 0) {
    warnings.push(
      `Line ${count(evidence.line ?? 0)} of ${name} has \\" inside quotes. It is read as Excel and pandas read it, where the ` +
        'quotes end there; if that is wrong, write quotes inside cells as "".',
    );
  }
  return { rows: Math.max(0, records - csv.headers), warnings, evidence };
}

async function* csvRows(csv: Csv): AsyncGenerator<SourceRow> {
  let index = -csv.headers - 1;
  const pause = cooperativePause();
  for (const batch of recordBatches(csv)) {
    for (const record of batch) {
      index += 1;
      if (index >= 0) yield rowOf(record, index, csv);
    }
    await pause();
  }
}

/** Spreadsheets leave empty cells at the end of a row out, or write more of them than the header has. */
function rowOf({ cells, excess, line }: CsvRecord, index: number, { columns, width, file }: Csv): SourceRow {
  if (excess !== null) {
    return { index, problem: `the row at line ${line} of ${sanitize(basename(file.shown), 120)} ${excess}` };
  }
  if (cells.slice(width).some((cell) => cell !== '')) {
    const problem =
      `the row at line ${line} of ${sanitize(basename(file.shown), 120)} has ${cells.length} cells, the header ` +
      `${width}; put cells that hold the delimiter into quotes`;
    return { index, problem };
  }
  return { index, value: Object.fromEntries(columns.map((column, place) => [column, cells[place] ?? null])) };
}

/** The records of a file, header included, as many at a time as a piece of it completes. */
function* recordBatches(
  { file, dialect }: Pick<Csv, 'file' | 'dialect'>,
  reader = new CsvReader(dialect),
): Generator<CsvRecord[]> {
  for (const piece of utf8Pieces(file)) yield reader.push(piece.toString('utf8'));
  try {
    yield reader.end();
  } catch (error) {
    if (!(error instanceof UnclosedQuote)) throw error;
    throw new UserError(
      `${sanitize(file.shown, 300)} is not valid CSV: ${error.message}. Close it, or double it ("").`,
    );
  }
}

function repeated(columns: readonly string[]): string[] {
  const seen = new Set<string>();
  const again = new Set<string>();
  for (const column of columns) (seen.has(column) ? again : seen).add(column);
  return [...again];
}
