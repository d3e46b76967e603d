/** Which requests the rows of a run take, by its settings. */

import { cooperativePause, readLines } from '../lib/files.js';
import type { DatasetSelection } from '../datasets/selection.js';
import { hasSeveral, type GenerationParameters } from '../models/generation.js';
import { choiceLayout, turnLayout, type PartLayout } from './parts.js';
import { parseRow } from './row-line.js';
import { isUnusable } from './rows.js';
import { countTurns } from './turns.js';

/** What decides how many requests a row takes. */
export interface RequestsPerRow {
  generation: GenerationParameters;
  turns: DatasetSelection['turns'];
  /** Further requests for a row whose answer is not the original's; null for none. */
  checkRetry: number | null;
}

/**
 * The parts of a run's rows; null where each row takes one request.
 * @param path of `rows.jsonl`
 * @param rows how many it has
 */
export async function partsOfRows(
  { generation, turns, checkRetry }: RequestsPerRow,
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
