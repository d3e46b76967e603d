import { open } from 'node:fs/promises';
import type { DatasetRequest, OpenDataset } from '../types.js';
import { localDataset } from './local.js';
import { ParquetFile, readParquetFiles } from './parquet.js';

/** A local Parquet file, read by byte range. */
export async function openLocalParquet(request: DatasetRequest): Promise<OpenDataset> {
  const path = request.dataset;
  const handle = await open(path, 'r');
  const { size } = await handle.stat();
  const buffer = {
    byteLength: size,
    slice: async (start: number, end = size): Promise<ArrayBuffer> => {
      const bytes = new Uint8Array(Math.max(0, end - start));
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.buffer.slice(0, filled);
    },
  };
  // Closed when the process ends or nothing refers to it; a run reads its dataset once.
  const file = await ParquetFile.open(buffer, path);
  return localDataset(file.columns, file.rows, (selection) => readParquetFiles([file], selection));
}
