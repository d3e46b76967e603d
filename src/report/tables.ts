/**
 * Small tables that say who did which part of a run, from `summary.json`. Each is one function: a new one is an entry in
 * `TABLES`. What the file does not hold gives no table.
 */

import { isObject } from '../lib/json.js';
import { count, dollars } from '../lib/text.js';
import type { ReportTable } from './data.js';

const MOST_ROWS = 30;
const LONGEST_NAME = 120;

type TableMaker = (summary: Record<string, unknown>) => ReportTable | null;

const TABLES: readonly TableMaker[] = [modelTable, annotatorTable, serverTable];

/** @param isPublic true to leave out where the run was done */
export function tablesOf(summary: Record<string, unknown>, isPublic: boolean): ReportTable[] {
  return TABLES.filter((make) => !(isPublic && make === serverTable))
    .map((make) => make(summary))
    .filter((table) => table !== null);
}

/** Answers by the model that gave them: a name may mean several snapshots over time. */
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

/** What each annotator did, where refused rows were sent to another one. */
function annotatorTable({ annotators }: Record<string, unknown>): ReportTable | null {
  const rows = entriesIn(annotators).map(([name, { rows: answered, tokens, cost_usd: cost }]) => {
    const { prompt, completion } = isObject(tokens) ? tokens : {};
    return [
      name,
      amount(answered),
      `${amount(prompt)} in, ${amount(completion)} out`,
      typeof cost === 'number' ? dollars(cost) : 'not known',
    ];
  });
  if (rows.length === 0) return null;
  return { title: 'Annotators', head: ['Annotator', 'Rows', 'Tokens', 'Cost'], rows };
}

/** What each server did, where several shared the run; their paths are nobody's business. */
function serverTable({ servers }: Record<string, unknown>): ReportTable | null {
  const entries = entriesIn(servers);
  const all = entries.reduce((sum, [, { answers }]) => sum + (typeof answers === 'number' ? answers : 0), 0);
  const rows = entries.map(([address, { requests, answers }]) => [
    URL.canParse(address) ? new URL(address).host : 'a server',
    amount(requests),
    amount(answers),
    typeof answers === 'number' ? `${((100 * answers) / Math.max(1, all)).toFixed(1)} %` : '–',
  ]);
  if (rows.length === 0) return null;
  return { title: 'Servers', head: ['Server', 'Requests', 'Answers', 'Share'], rows };
}

function entriesIn(value: unknown): [name: string, entry: Record<string, unknown>][] {
  return Object.entries(isObject(value) ? value : {})
    .filter((entry): entry is [string, Record<string, unknown>] => isObject(entry[1]))
    .slice(0, MOST_ROWS)
    .map(([name, entry]) => [name.slice(0, LONGEST_NAME), entry]);
}

function amount(value: unknown): string {
  return typeof value === 'number' ? count(value) : '–';
}

/** The amounts of an object, largest first. */
function amountsIn(value: unknown): [name: string, amount: number][] {
  return Object.entries(isObject(value) ? value : {})
    .filter((entry): entry is [string, number] => typeof entry[1] === 'number' && entry[1] >= 0)
    .sort((a, b) => b[1] - a[1])
    .slice(0, MOST_ROWS);
}
