/** What a judge said of each pair, as `judgements.jsonl` has it. */

import { existsSync } from 'node:fs';
import { readLines } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';

const LONGEST_REASON = 4200;

export interface RowVerdict {
  /** `new`, `old`, `tie` or `undecided`. */
  preferred: string;
  reason: string;
}

/** Verdicts by row; a judge sees a sample of some hundred rows, ten thousand at most. */
export function readJudgements(path: string): Map<number, RowVerdict> {
  const verdicts = new Map<number, RowVerdict>();
  if (!existsSync(path)) return verdicts;
  for (const { bytes } of readLines(path)) {
    const value = parseJson(bytes.toString('utf8'));
    if (!isObject(value)) continue;
    const { request_idx: row, verdict, reason } = value;
    if (typeof row !== 'number' || typeof verdict !== 'string') continue;
    const text = typeof reason === 'string' ? reason.slice(0, LONGEST_REASON).toWellFormed() : '';
    verdicts.set(row, { preferred: verdict.slice(0, 20), reason: text });
  }
  return verdicts;
}
