/** What a judgement came to, as `summary.json` holds it under `judge`. */

import { existsSync, rmSync } from 'node:fs';
import { digestOfFile, readOwnText } from '../lib/files.js';
import { isObject, parseJson } from '../lib/json.js';
import type { RunFolder } from '../run/folder.js';
import type { Spending } from '../run/summary.js';

export interface JudgeFigures extends Spending {
  /** The judge's name on the command line, and its model at the provider. */
  annotator: string;
  model: string;
  /** Pairs of answers that were looked at: wins, ties, losses and undecided ones add up to them. */
  rows: number;
  wins: number;
  ties: number;
  losses: number;
  undecided: number;
  /** Ties whose answers are identical, so that the judge was not asked. */
  identical: number;
  /** Ties whose verdict changed with the order of the answers. */
  flipped: number;
  /** Wins and half of the ties, as a share of what is decided; null where nothing is. */
  win_rate: number | null;
  confidence_interval_95: [low: number, high: number] | null;
  /** Pairs that were asked for at most, and what decided which. */
  sample: number;
  seed: number;
  /** SHA-256 of the judge's prompts, and of the `reannotated.json` that was judged. */
  template_digest: string;
  results_digest: string;
  judged_at: string;
}

/** An existing `summary.json`; empty where there is none that can be read. */
export function readSummary(path: string): Record<string, unknown> {
  const value = existsSync(path) ? parseJson(readOwnText(path)) : undefined;
  return isObject(value) ? value : {};
}

/**
 * What a new `summary.json` is to keep of the one before: the judgement, if `reannotated.json`, which must be complete,
 * still holds what was judged. Otherwise the list of its verdicts goes as well.
 * @returns `judge` is absent where there is none to keep
 */
export async function keepJudgement(
  folder: RunFolder,
): Promise<{ kept: { judge?: unknown }; isOutdated: boolean }> {
  const { judge } = readSummary(folder.summary);
  if (!isObject(judge)) return { kept: {}, isOutdated: false };
  const isThere = existsSync(folder.reannotated);
  if (isThere && judge['results_digest'] === (await digestOfFile(folder.reannotated)))
    return { kept: { judge }, isOutdated: false };
  rmSync(folder.judgements, { force: true });
  return { kept: {}, isOutdated: true };
}
