/** Which rows of a run are judged: a sample of those that have both answers, the same one for the same seed. */

import { messageText } from '../models/message-text.js';
import { messagesOf } from '../run/jobs.js';
import { rankOf } from '../run/estimate.js';
import { readResults, type ResultRow } from '../exports/rows.js';
import type { PromptRow } from '../types.js';

/** Old and new answer of a row, and what they answer. */
export interface Pair {
  /** The row's number in the dataset's order. */
  row: number;
  prompt: string;
  oldAnswer: string;
  newAnswer: string;
}

/** A row that was chosen. */
export interface SampledRow {
  row: number;
  rank: number;
  /** True where both answers are identical: a tie without asking the judge. */
  isIdentical: boolean;
}

export interface Sample {
  /** In the dataset's order. */
  rows: SampledRow[];
  /** Rows of the run, and those of them with both answers. */
  total: number;
  pairs: number;
}

/**
 * Chooses `size` rows out of all that have both answers, each with the same chance. A larger sample of the same seed
 * holds the smaller one. Memory grows with the sample alone.
 * @param path of a complete `reannotated.json`
 * @param onProgress called with the rows so far; may throw to stop
 */
export async function sampleRows(
  path: string,
  size: number,
  seed: number,
  onProgress: (rows: number) => void,
): Promise<Sample> {
  let total = 0;
  let pairs = 0;
  let kept: SampledRow[] = [];
  await readAll(path, onProgress, (line) => {
    const row = total;
    total += 1;
    const pair = pairOf(row, line.parse());
    if (pair === null) return;
    pairs += 1;
    kept.push({ row, rank: rankOf(row, seed), isIdentical: pair.newAnswer === pair.oldAnswer });
    if (kept.length >= 2 * size + 1000) kept = lowest(kept, size);
  });
  const rows = lowest(kept, size).sort((a, b) => a.row - b.row);
  return { rows, total, pairs };
}

function lowest(rows: SampledRow[], size: number): SampledRow[] {
  return rows.sort((a, b) => a.rank - b.rank || a.row - b.row).slice(0, size);
}

/** The pairs of some rows, in the dataset's order; those with one answer twice are left out. */
export async function readPairs(
  path: string,
  { rows }: Sample,
  onProgress: (rows: number) => void,
  onPair: (pair: Pair) => void,
): Promise<void> {
  let number = -1;
  let next = 0;
  await readAll(path, onProgress, (line) => {
    number += 1;
    const wanted = rows[next];
    if (wanted?.row !== number) return;
    next += 1;
    const pair = wanted.isIdentical ? null : pairOf(number, line.parse());
    if (pair !== null) onPair(pair);
  });
}

async function readAll(
  path: string,
  onProgress: (rows: number) => void,
  onLine: Parameters<typeof readResults>[1],
): Promise<void> {
  await readResults({ path, onProgress }, onLine);
}

/** The pair of a row; null where one of the answers is missing or empty. The file may have been edited. */
function pairOf(row: number, result: ResultRow): Pair | null {
  const {
    annotation,
    annotation_original: original,
    user_prompt: prompt,
  }: Record<string, unknown> = {
    ...result,
  };
  if (typeof prompt !== 'string' || typeof annotation !== 'string' || typeof original !== 'string')
    return null;
  if (annotation === '' || original === '') return null;
  return { row, prompt: promptOfResult(result), oldAnswer: original, newAnswer: annotation };
}

function promptOfResult(row: ResultRow): string {
  const { system_prompt: system, user_prompt: prompt } = row;
  return promptTextOf({
    system_prompt: typeof system === 'string' ? system : '',
    user_prompt: prompt ?? '',
    annotation_original: null,
    ...(Array.isArray(row.request_messages) ? { messages: row.request_messages } : {}),
  });
}

/** What was asked, as one text: the prompt alone where it is all there is, and the turns with their roles otherwise. */
export function promptTextOf(row: PromptRow): string {
  const turns = messagesOf(row);
  if (turns.length === 1) return row.user_prompt;
  return turns.map((turn) => `[${turn.role}]\n${messageText(turn)}`).join('\n\n');
}
