/**
 * Small tables that say who did which part of a run, from `summary.json`. Each is one function: a new one is an entry in
 * `TABLES`. What the file does not hold gives no table.
 */

import { isObject } from '../lib/json.js';
import { count } from '../lib/text.js';
import type { ReportTable } from './data.js';

const MOST_ROWS = 30;
const LONGEST_NAME = 120;

type TableMaker = (summary: Record<string, unknown>) => ReportTable | null;

const TABLES: readonly TableMaker[] = [modelTable];

export function tablesOf(summary: Record<string, unknown>): ReportTable[] {
  return TABLES.map((make) => make(summary)).filter((table) => table !== null);
}

/** Answers by the model that gave them: a name may stand for several snapshots over time. */
function modelTable({ models }: Record<string, unknown>): ReportTable | null {
  const answers = amountsIn(models);
  const all = answers.reduce((sum, [, amount]) => sum + amount, 0);
  if (answers.length === 0) return null;
  const rows = answers.map(([model, amount]) => [
    model.slice(0, LONGEST_NAME),
    count(amount),
    `${((100 * amount) / Math.max(1, all)).toFixed(1)} %`,
  ]);
  return { title: 'Models that answered', head: ['Model', 'Answers', 'Share'], rows };
}

/** The amounts of an object, largest first. */
function amountsIn(value: unknown): [name: string, amount: number][] {
  return Object.entries(isObject(value) ? value : {})
    .filter((entry): entry is [string, number] => typeof entry[1] === 'number' && entry[1] >= 0)
    .sort((a, b) => b[1] - a[1])
    .slice(0, MOST_ROWS);
}
