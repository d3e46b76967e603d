import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { manyColumnsWarning } from '../lib/json-scan.js';
import { inert } from '../lib/text.js';
import { localDataset, type OpenFile } from './local.js';
import { groupStarts, ParquetProcess, readParquetFiles } from './parquet-process.js';

/** Opens local Parquet files, read by byte range, all of them in one decoder. */
export function parquetOpener(): OpenFile {
  const decoder = new ParquetProcess();
  return async ({ file: { path, shown }, signal }) => {
    const { size } = statSync(path);
    const file = await decoder.open({ path, size }, inert(shown, 300), signal);
    const warnings = file.isCut ? [manyColumnsWarning(inert(basename(shown), 120))] : [];
    const dataset = localDataset(
      file.columns,
      file.rows,
      (selection) => readParquetFiles([file], selection),
      warnings,
    );
    return { ...dataset, groupStarts: () => Promise.resolve(groupStarts([file])) };
  };
}
