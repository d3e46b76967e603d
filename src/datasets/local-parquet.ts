import { closeSync, openSync, statSync } from 'node:fs';
import { readAt } from '../files.js';
import type { OpenDataset } from '../types.js';
import { localDataset, type LocalRequest } from './local.js';
import { ParquetFile, readParquetFiles } from './parquet.js';

/** A local Parquet file, read by byte range. */
export async function openLocalParquet({ file: { path } }: LocalRequest): Promise<OpenDataset> {
  const { size } = statSync(path);
  const slice = (start: number, end = size): ArrayBuffer => {
    // What a damaged file says of itself may point anywhere.
    const from = Math.min(Math.max(0, start), size);
    const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - from));
    const descriptor = openSync(path, 'r');
    try {
      const filled = readAt(descriptor, from, bytes.length, Buffer.from(bytes.buffer));
      return filled.length === bytes.length ? bytes.buffer : bytes.buffer.slice(0, filled.length);
    } finally {
      closeSync(descriptor);
    }
  };
  const file = await ParquetFile.open({ byteLength: size, slice }, path);
  return localDataset(file.columns, file.rows, (selection) => readParquetFiles([file], selection));
}
