import { statSync } from 'node:fs';
import { inert } from '../lib/text.js';
import type { OpenDataset } from '../types.js';
import { localDataset, type LocalRequest } from './local.js';
import { ParquetProcess, readParquetFiles } from './parquet-process.js';
import { manyColumnsWarning } from '../lib/json-scan.js';
import { basename } from 'node:path';

/** A local Parquet file, read by byte range. */
export async function openLocalParquet({ file: { path }, signal }: LocalRequest): Promise<OpenDataset> {
  const { size } = statSync(path);
  const file = await new ParquetProcess().open({ path, size }, inert(path, 300), signal);
  const warnings = file.isCut ? [manyColumnsWarning(inert(basename(path), 120))] : [];
  return localDataset(file.columns, file.rows, (selection) => readParquetFiles([file], selection), warnings);
}
