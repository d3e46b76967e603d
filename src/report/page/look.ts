/** What the reader looks at: it is in the address, so that it can be sent to somebody, and decides which rows are listed. */

import type { ShownRow } from '../data.js';
import type { Mark } from './marks.js';
import { textsOf } from './search.js';

export const VIEWS = [
  ['differences', 'Differences'],
  ['rendered', 'Markdown'],
  ['text', 'Plain text'],
] as const;
export type View = (typeof VIEWS)[number][0];

/** Every part is a text, empty where nothing was chosen. */
export interface Look {
  row: string;
  state: string;
  flag: string;
  sort: string;
  q: string;
  /** `1` where `q` is a regular expression. */
  re: string;
  /** A column with its value, or a part of it. */
  column: string;
  value: string;
  /** Characters of the new answer. */
  min: string;
  max: string;
  mark: string;
  verdict: string;
  view: string;
}

const NAMES = [
  ...['row', 'state', 'flag', 'sort', 'q', 're', 'column', 'value', 'min', 'max', 'mark', 'verdict', 'view'],
] as (keyof Look)[];

export const EVERYTHING: Look = Object.fromEntries(NAMES.map((name) => [name, ''])) as unknown as Look;

/** What narrows the list down, with no filter set. */
export const NO_FILTER = {
  ...{ state: '', flag: '', q: '', re: '', column: '', value: '', min: '', max: '', mark: '', verdict: '' },
};

export function readLook(hash: string): Look {
  const address = new URLSearchParams(hash.replace(/^#/, ''));
  const look = { ...EVERYTHING };
  for (const name of NAMES) look[name] = address.get(name) ?? '';
  return look;
}

export function hashOf(look: Look): string {
  const address = new URLSearchParams();
  for (const name of NAMES) if (look[name] !== '') address.set(name, look[name]);
  return `#${address.toString()}`;
}

export const SORTS: Readonly<Record<string, { title: string; key: (row: ShownRow) => number }>> = {
  '': { title: 'Dataset order', key: ({ row }) => row },
  changed: { title: 'Most changed first', key: ({ change }) => -(change ?? -1) },
  same: { title: 'Least changed first', key: ({ change }) => change ?? 2 },
  longer: { title: 'Grew most first', key: ({ lengths }) => lengths.old - lengths.new },
  shorter: { title: 'Shrank most first', key: ({ lengths }) => lengths.new - lengths.old },
  cost: { title: 'Most expensive first', key: ({ figures }) => -(figures?.cost ?? -1) },
  tokens: { title: 'Most tokens first', key: ({ figures }) => -(figures?.completionTokens ?? -1) },
};

/** Columns that a row can be filtered by, besides those of the dataset. */
const OWN_COLUMNS: Readonly<Record<string, (row: ShownRow) => string | null>> = {
  model: ({ figures }) => figures?.model ?? null,
  'finish reason': ({ figures }) => figures?.finishReason ?? null,
  error: ({ error }) => error,
};

/** The columns that some of the rows have. */
export function columnsOf(rows: readonly ShownRow[]): string[] {
  const own = Object.keys(OWN_COLUMNS).filter((name) => rows.some((row) => valueOf(row, name) !== null));
  return [...own, ...new Set(rows.flatMap(({ source }) => Object.keys(source)))];
}

/** The values of a column, as many as can be chosen from. */
export function valuesOf(rows: readonly ShownRow[], column: string, most = 100): string[] {
  const values = new Set(rows.map((row) => valueOf(row, column)).filter((value) => value !== null));
  return [...values].slice(0, most).sort();
}

function valueOf(row: ShownRow, column: string): string | null {
  const own = Object.hasOwn(OWN_COLUMNS, column) ? OWN_COLUMNS[column] : undefined;
  if (own !== undefined) return own(row);
  return Object.hasOwn(row.source, column) ? (row.source[column] ?? null) : null;
}

/**
 * The rows that are listed, in their order.
 * @param found what a regular expression found; null where none is used, or it is not known yet
 */
export function listed(
  rows: readonly ShownRow[],
  look: Look,
  markOf: (row: number) => Mark,
  found: ReadonlySet<number> | null,
): ShownRow[] {
  const tests = testsOf(look, markOf, found);
  const key = (SORTS[look.sort] ?? { key: (one: ShownRow) => one.row }).key;
  return rows
    .filter((row) => tests.every((test) => test(row)))
    .sort((a, b) => key(a) - key(b) || a.row - b.row);
}

type Test = (row: ShownRow) => boolean;

function testsOf(look: Look, markOf: (row: number) => Mark, found: ReadonlySet<number> | null): Test[] {
  const { state, flag, q, re, column, value, min, max, mark, verdict } = look;
  const tests: Test[] = [];
  const add = (isWanted: boolean, test: Test): void => {
    if (isWanted) tests.push(test);
  };
  add(state !== '', (row) => row.state === state);
  add(flag !== '', (row) => row.flags.some((name) => name === flag));
  const wanted = q.trim().toLowerCase();
  add(wanted !== '' && re === '', (row) => textsOf(row).some((text) => text.toLowerCase().includes(wanted)));
  add(wanted !== '' && re !== '' && found !== null, ({ row }) => found?.has(row) === true);
  add(column !== '' && value !== '', (row) => {
    const own = valueOf(row, column);
    return own?.toLowerCase().includes(value.toLowerCase()) === true;
  });
  add(amountIn(min) !== null, ({ lengths }) => lengths.new >= (amountIn(min) ?? 0));
  add(amountIn(max) !== null, ({ lengths }) => lengths.new <= (amountIn(max) ?? 0));
  add(verdict !== '', (row) => row.verdict?.preferred === verdict);
  add(mark !== '', ({ row }) => {
    const own = markOf(row);
    if (mark === 'none') return own.mark === null && own.comment === '';
    return mark === 'comment' ? own.comment !== '' : own.mark === mark;
  });
  return tests;
}

function amountIn(text: string): number | null {
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}

/** The words that all prompts begin with or end in, such as those of a template: an entry of the list does without. */
export function sharedWords(rows: readonly ShownRow[]): { start: number; end: number } {
  const prompts = rows.map(({ prompt }) => prompt);
  const [first = ''] = prompts;
  if (prompts.length < 3) return { start: 0, end: 0 };
  let start = first.length;
  let end = first.length;
  for (const prompt of prompts) {
    start = Math.min(start, prompt.length);
    while (start > 0 && !prompt.startsWith(first.slice(0, start))) start -= 1;
    end = Math.min(end, prompt.length - start);
    while (end > 0 && !prompt.endsWith(first.slice(first.length - end))) end -= 1;
  }
  // Half a word belongs to what differs.
  while (start > 0 && !/\s/.test(first[start - 1] ?? '')) start -= 1;
  while (end > 0 && !/\s/.test(first[first.length - end] ?? '')) end -= 1;
  return { start, end: Math.max(0, end) };
}

const INSTRUCTION = '### Instruction:';
const INPUT = '### Input:';
const RESPONSE = '### Response:';

/** How a prompt begins in the list, without the words of a template. */
export function startOf(prompt: string, shared: { start: number; end: number }): string {
  const own = prompt.slice(shared.start, prompt.length - shared.end).trim();
  const from = own.indexOf(INSTRUCTION);
  const instruction = from === -1 ? own : own.slice(from + INSTRUCTION.length);
  const text = instruction.endsWith(RESPONSE) ? instruction.slice(0, -RESPONSE.length) : instruction;
  return text.slice(0, 400).replace(/\s+/g, ' ').replace(` ${INPUT} `, ' · ').trim().slice(0, 120);
}
