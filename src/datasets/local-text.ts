import { breather } from '../lib/files.js';
import type { OpenDataset, SourceRow } from '../types.js';
import { localDataset, select, type LocalRequest } from './local.js';
import { isBlank } from './local-jsonl.js';
import { textLines, type TextFile } from './text-file.js';

/** The column that Hugging Face `datasets` puts the lines of a text file into. */
const COLUMN = 'text';

/** A file whose lines are prompts; blank ones are skipped. */
export async function openLocalText({ file, signal }: LocalRequest): Promise<OpenDataset> {
  let rows = 0;
  const pause = breather();
  for (const line of textLines(file)) {
    if (!isBlank(line)) rows += 1;
    signal?.throwIfAborted();
    await pause();
  }
  return localDataset([COLUMN], rows, (selection) => select(textRows(file), selection));
}

async function* textRows(file: TextFile): AsyncGenerator<SourceRow> {
  let index = 0;
  const pause = breather();
  for (const line of textLines(file)) {
    if (isBlank(line)) continue;
    yield { index, value: { [COLUMN]: line.bytes.toString('utf8') } };
    index += 1;
    await pause();
  }
}
