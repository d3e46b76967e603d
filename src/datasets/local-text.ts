import { basename } from 'node:path';
import { sanitize } from '../lib/text.js';
import type { OpenDataset, SourceRow } from '../types.js';
import { localDataset, select, type LocalRequest } from './local.js';
import { isBlank } from './local-jsonl.js';
import { excessOf } from './row-limits.js';
import type { TextFile } from './text-file.js';
import { textLines, type TextLine } from './text-lines.js';

/** The column that Hugging Face `datasets` puts the lines of a text file into. */
const COLUMN = 'text';

/** A file whose lines are prompts; blank ones are skipped. */
export async function openLocalText({ file, signal }: LocalRequest): Promise<OpenDataset> {
  let rows = 0;
  for await (const lines of textLines(file, signal)) {
    for (const line of lines) if (!isBlank(line)) rows += 1;
  }
  return localDataset([COLUMN], rows, (selection) => select(textRows(file), selection));
}

async function* textRows(file: TextFile): AsyncGenerator<SourceRow> {
  let index = 0;
  for await (const lines of textLines(file)) {
    for (const line of lines) {
      if (isBlank(line)) continue;
      yield rowOf(line, index, file);
      index += 1;
    }
  }
}

function rowOf(line: TextLine, index: number, { shown }: TextFile): SourceRow {
  if (!line.isCut) return { index, value: { [COLUMN]: line.bytes.toString('utf8') } };
  return { index, problem: `line ${line.number} of ${sanitize(basename(shown), 120)} ${excessOf(line)}` };
}
