/** The Parquet files that the Hub makes of every dataset: far fewer requests than pages for many rows. */

import { isObject } from '../lib/json.js';
import type { HubClient } from './hub-client.js';
import type { HubTable } from './hub-rows.js';
import { UserError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import { ParquetProcess, type ParquetTable } from './parquet-process.js';

/** The Hub makes row groups of 100 MB at most; a page or a column of one is less. */
const LARGEST_RANGE_BYTES = 128 << 20;

interface ListedFile {
  url: string;
  filename: string;
  size: number;
}

/** The files of a table, opened; empty where the Hub lists none. */
export async function openHubParquet(
  client: HubClient,
  table: HubTable,
  signal?: AbortSignal,
): Promise<{ files: ParquetTable[]; partial: boolean }> {
  const answer = await client.get('parquet', { dataset: table.dataset });
  const listed = Array.isArray(answer['parquet_files']) ? answer['parquet_files'].filter(isObject) : [];
  const own = listed
    .filter((file) => file['config'] === table.subset && file['split'] === table.split)
    .flatMap((file) => readListed(file));
  const decoder = new ParquetProcess();
  const files: ParquetTable[] = [];
  // A handful of footers: one after the other is soon done, and kind to the Hub.
  for (const { url, filename, size } of own) {
    const title = `${sanitize(filename, 120)} of ${sanitize(table.dataset, 120)}`;
    const range = (start: number, end: number): Promise<ArrayBuffer> => {
      if (end - start <= LARGEST_RANGE_BYTES) return client.range(url, start, end);
      const megabytes = Math.round((end - start) / (1 << 20));
      throw new UserError(
        `${title} needs ${megabytes} MB at once, which is too much. Download it and use the file.`,
      );
    };
    files.push(await decoder.open({ size, range }, title, signal));
  }
  return { files, partial: answer['partial'] === true };
}

function readListed(file: Record<string, unknown>): ListedFile[] {
  const { url, filename, size } = file;
  if (
    typeof url !== 'string' ||
    !URL.canParse(url) ||
    typeof size !== 'number' ||
    !(Number.isSafeInteger(size) && size > 0)
  )
    return [];
  return [{ url, filename: typeof filename === 'string' ? filename : 'a Parquet file', size }];
}
