/** The Parquet files that the Hub makes of every dataset: far fewer requests than pages for many rows. */

import { isObject } from '../json.js';
import type { HubClient } from './hub-client.js';
import type { HubTable } from './hub-rows.js';
import { ParquetFile } from './parquet.js';

interface ListedFile {
  url: string;
  filename: string;
  size: number;
}

/** The files of a table, opened; empty where the Hub lists none. */
export async function openHubParquet(
  client: HubClient,
  table: HubTable,
): Promise<{ files: ParquetFile[]; partial: boolean }> {
  const answer = await client.get('parquet', { dataset: table.dataset });
  const listed = Array.isArray(answer['parquet_files']) ? answer['parquet_files'].filter(isObject) : [];
  const own = listed
    .filter((file) => file['config'] === table.subset && file['split'] === table.split)
    .flatMap((file) => readListed(file));
  const files: ParquetFile[] = [];
  // A handful of footers: one after the other is soon done, and kind to the Hub.
  for (const { url, filename, size } of own) {
    const buffer = {
      byteLength: size,
      slice: (start: number, end = size) => client.range(url, start, Math.min(end, size)),
    };
    files.push(await ParquetFile.open(buffer, `${filename} of ${table.dataset}`));
  }
  return { files, partial: answer['partial'] === true };
}

function readListed(file: Record<string, unknown>): ListedFile[] {
  const { url, filename, size } = file;
  if (typeof url !== 'string' || !URL.canParse(url) || typeof size !== 'number' || !(size > 0)) return [];
  return [{ url, filename: typeof filename === 'string' ? filename : 'a Parquet file', size }];
}
