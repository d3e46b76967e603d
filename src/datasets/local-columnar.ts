import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { manyColumnsWarning } from '../lib/json-scan.js';
import { sanitize } from '../lib/text.js';
import { localDataset, type OpenFile } from './local.js';
import type { DecodedFormat } from './parquet-messages.js';
import { groupStarts, ParquetProcess, readParquetFiles } from './parquet-process.js';

/** Opens local Parquet or Arrow files, all of them in one decoder. */
export function columnarOpener(format: DecodedFormat, decoder = new ParquetProcess()): OpenFile {
  return async ({ file: { path, shown }, signal }) => {
    const { size } = statSync(path);
    const file = await decoder.open({ path, size }, sanitize(shown, 300), signal, format);
    const warnings = file.isCut ? [manyColumnsWarning(sanitize(basename(shown), 120))] : [];
    const dataset = localDataset(
      file.columns,
      file.rows,
      (selection) => readParquetFiles([file], selection),
      warnings,
    );
    return { ...dataset, groupStarts: () => Promise.resolve(groupStarts([file])) };
  };
}
