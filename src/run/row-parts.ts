/** Which requests the rows of a run take, by its settings, and the index of their answers. */

import { cooperativePause, readLines } from '../lib/files.js';
import { hasSeveral } from '../models/generation.js';
import type { JournalIndex } from './journal.js';
import { choiceLayout, indexOfRows, turnLayout, type PartLayout } from './parts.js';
import { parseRow } from './row-line.js';
import { isUnusable, type RowCounts } from './rows.js';
import type { RunSettings } from './settings.js';
import { countTurns } from './turns.js';

/** What decides how many requests a row takes. */
type RequestsPerRow = Pick<RunSettings, 'call' | 'selection' | 'policy'>;

/**
 * The index of a run's rows before its journal is read: none has an answer, and those that cannot be used have failed.
 * @param path of `rows.jsonl`
 * @param counts of its rows
 */
export async function indexRows(
  path: string,
  { total, unusable }: RowCounts,
  settings: RequestsPerRow,
): Promise<JournalIndex> {
  const index = indexOfRows(total, await partsOfRows(settings, path, total));
  for (const row of unusable) index.record(row, 'failed', 0, 0, true);
  return index;
}

/** The parts of rows; null where each row takes one request. */
async function partsOfRows(
  { call: { generation }, selection: { turns }, policy: { checkRetry } }: RequestsPerRow,
  path: string,
  rows: number,
): Promise<PartLayout | null> {
  if (turns === 'all') return turnLayout(await readTurns(path, rows));
  // The first answer is a row's own; the others are for where it is not the original's.
  if (checkRetry !== null) return choiceLayout(rows, 1 + checkRetry, 1);
  return hasSeveral(generation) ? choiceLayout(rows, generation.n ?? 1) : null;
}

/** How many answers of each row are regenerated. */
async function readTurns(path: string, rows: number): Promise<Uint32Array> {
  const counts = new Uint32Array(rows);
  const pause = cooperativePause();
  let row = 0;
  for (const { bytes } of readLines(path)) {
    counts[row] = isUnusable(bytes) ? 1 : countTurns(parseRow(bytes).messages);
    row += 1;
    await pause();
  }
  return counts;
}
