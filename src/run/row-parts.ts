/** Which requests the rows of a run take, by its settings. */

import { cooperativePause, readLines } from '../lib/files.js';
import { hasSeveral } from '../models/generation.js';
import { choiceLayout, turnLayout, type PartLayout } from './parts.js';
import { parseRow } from './row-line.js';
import { isUnusable } from './rows.js';
import type { RunSettings } from './settings.js';
import { countTurns } from './turns.js';

/**
 * The parts of a run's rows; null where each row takes one request.
 * @param path of `rows.jsonl`
 * @param rows how many it has
 */
export async function partsOfRows(
  { call: { generation }, selection, policy }: Pick<RunSettings, 'call' | 'selection' | 'policy'>,
  path: string,
  rows: number,
): Promise<PartLayout | null> {
  if (selection.turns === 'all') return turnLayout(await readTurns(path, rows));
  // The first answer is a row's own; the others are for where it is not the original's.
  if (policy.checkRetry !== null) return choiceLayout(rows, 1 + policy.checkRetry, 1);
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
