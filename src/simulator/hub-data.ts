/** Loads local files for the simulated datasets-server; in memory, which is enough for a rehearsal. */

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { CsvReader } from '../datasets/csv-records.js';
import { messageOf, UserError } from '../lib/errors.js';
import { fileProblem } from '../lib/files.js';
import { isObject } from '../lib/json.js';

export type Row = Record<string, unknown>;

/** One dataset with a single subset, `default`. */
export interface HubDataset {
  id: string;
  splits: Map<string, Row[]>;
  /** 40 hexadecimal digits, from the file's content. */
  revision: string;
  /** Bytes of the local file. */
  bytes: number;
}

/**
 * Loads a .json (an array, or an object of arrays by split), .jsonl, .csv or .parquet file.
 * @throws UserError where it can't be read or holds no rows
 */
export async function loadDataset(id: string, path: string): Promise<HubDataset> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw fileProblem(error, `read ${path}, the file behind the dataset ${id}`);
  });
  try {
    const splits = await readSplits(bytes, extname(path).toLowerCase());
    const revision = createHash('sha1').update(bytes).digest('hex');
    return { id, splits, revision, bytes: bytes.length };
  } catch (error) {
    throw new UserError(`Cannot serve ${path} as the dataset ${id}: ${messageOf(error)}.`);
  }
}

async function readSplits(bytes: Buffer, extension: string): Promise<Map<string, Row[]>> {
  switch (extension) {
    case '.json':
      return jsonSplits(JSON.parse(bytes.toString('utf8')));
    case '.jsonl':
      return trainOf(
        bytes
          .toString('utf8')
          .split('\n')
          .filter((line) => line.trim() !== '')
          .map((line) => JSON.parse(line) as unknown),
      );
    case '.csv':
      return trainOf(csvRows(bytes.toString('utf8')));
    case '.parquet':
      return trainOf(await readParquet(bytes));
    default:
      throw new Error(
        `${extension === '' ? 'a file without an ending' : extension} is none of .json, .jsonl, .csv, .parquet`,
      );
  }
}

function csvRows(text: string): Row[] {
  const reader = new CsvReader({ delimiter: ',', backslash: false });
  const [header, ...rows] = [...reader.push(text.replace(/^\ufeff/, '')), ...reader.end()];
  return rows.map(({ cells }) =>
    Object.fromEntries((header?.cells ?? []).map((column, place) => [column, cells[place] ?? ''])),
  );
}

function jsonSplits(value: unknown): Map<string, Row[]> {
  if (!isObject(value)) return trainOf(value);
  return new Map(Object.entries(value).map(([split, rows]) => [split, rowsOf(rows)]));
}

function trainOf(rows: unknown): Map<string, Row[]> {
  return new Map([['train', rowsOf(rows)]]);
}

function rowsOf(rows: unknown): Row[] {
  if (!Array.isArray(rows) || !rows.every(isObject)) throw new Error('it is no list of objects');
  return rows;
}

async function readParquet(bytes: Buffer): Promise<unknown[]> {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const rows = await parquetReadObjects({ file, compressors });
  return rows.map((row) => jsonValue(row));
}

/** A value as JSON can hold it. */
function jsonValue(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(jsonValue);
  if (value instanceof Date || !isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, jsonValue(inner)]));
}

/** A column as the datasets-server describes it. */
export interface Feature {
  feature_idx: number;
  name: string;
  type: unknown;
}

/** The columns of rows, in the order in which they first occur. */
export function featuresOf(rows: readonly Row[]): Feature[] {
  const samples = new Map<string, unknown>();
  for (const row of rows) {
    for (const name in row) if ((samples.get(name) ?? null) === null) samples.set(name, row[name]);
  }
  return [...samples].map(([name, sample], index) => ({
    feature_idx: index,
    name,
    type: featureType(sample),
  }));
}

/** @see https://huggingface.co/docs/datasets/about_dataset_features */
function featureType(sample: unknown): unknown {
  if (Array.isArray(sample)) return { feature: featureType(sample[0]), _type: 'List' };
  if (isObject(sample)) {
    return Object.fromEntries(Object.entries(sample).map(([name, value]) => [name, featureType(value)]));
  }
  return { dtype: scalarType(sample), _type: 'Value' };
}

function scalarType(sample: unknown): string {
  if (typeof sample === 'boolean') return 'bool';
  if (typeof sample === 'number') return Number.isInteger(sample) ? 'int64' : 'float64';
  return sample === null || sample === undefined ? 'null' : 'string';
}
