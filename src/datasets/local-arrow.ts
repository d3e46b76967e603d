import { inert } from '../lib/text.js';
import type { OpenDataset } from '../types.js';
import { ArrowFile } from './arrow.js';
import { localDataset, type LocalRequest } from './local.js';

/** An Arrow file of either format: what `datasets` saves is a stream, what pandas and polars write (Feather 2) a file. */
export async function openLocalArrow({ file: { path, shown } }: LocalRequest): Promise<OpenDataset> {
  const file = await ArrowFile.open(path, inert(shown, 300));
  return localDataset(file.columns, file.rows, (selection) => file.read(selection));
}
