/** Runs as a table that fits into a width: what matters least goes first, and names lose their middle. */

import stringWidth from 'string-width';
import { count, sanitize, spent } from '../lib/text.js';
import type { ListedRun } from '../session/run-list.js';

const GAP = '  ';
const LONGEST_NAME = 200;
/** No column is narrower, however narrow the terminal is. */
const SHORTEST = 4;
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

interface Column {
  head: string;
  text: (run: ListedRun) => string;
  isRight?: boolean;
  /** True for a column that is there at any width; the others go from the last one on. */
  isKept?: boolean;
  /** Columns that it can be cut to before another one goes. */
  shortest?: number;
}

const COLUMNS: readonly Column[] = [
  { head: 'RUN', isKept: true, shortest: 24, text: ({ name }) => sanitize(name, LONGEST_NAME) },
  { head: 'STATE', isKept: true, text: ({ state }) => state },
  { head: 'ROWS', isRight: true, text: rowsText },
  { head: 'COST', isRight: true, text: costText },
  { head: 'SIZE', isRight: true, text: ({ bytes }) => bytesText(bytes) },
  { head: 'UPDATED (UTC)', text: ({ updated_at: at }) => at?.slice(0, 16).replace('T', ' ') ?? '' },
  { head: 'NOTES', shortest: 16, text: notesText },
];

/**
 * The lines of the table, its heading included.
 * @param width columns that there are
 */
export function runTable(runs: readonly ListedRun[], width: number): string[] {
  const widths = widthsOf(runs, width);
  const line = (textOf: (column: Column) => string): string =>
    [...widths]
      .map(([column, columns]) => padded(withoutMiddle(textOf(column), columns), columns, column.isRight))
      .join(GAP)
      .trimEnd();
  return [line(({ head }) => head), ...runs.map((run) => line(({ text }) => text(run)))];
}

/** The columns that fit, with their widths. */
function widthsOf(runs: readonly ListedRun[], width: number): Map<Column, number> {
  const all = new Map(COLUMNS.map((column) => [column, widthOf(column, runs)]));
  const least = new Map(
    [...all].map(([column, columns]) => [column, Math.min(columns, column.shortest ?? columns)]),
  );
  const sum = (of: ReadonlyMap<Column, number>): number =>
    [...of.values()].reduce((total, columns) => total + columns + GAP.length, -GAP.length);
  for (const column of COLUMNS.toReversed()) {
    const isEmpty = column.head === 'NOTES' && runs.every((run) => column.text(run) === '');
    if (column.isKept !== true && (isEmpty || sum(least) > width)) least.delete(column);
  }
  // What is left over goes to names first.
  for (const column of least.keys()) {
    const spare = width - sum(least);
    const columns = least.get(column) ?? 0;
    least.set(column, Math.max(SHORTEST, Math.min(all.get(column) ?? 0, columns + spare)));
  }
  return least;
}

function widthOf({ head, text }: Column, runs: readonly ListedRun[]): number {
  return Math.max(head.length, ...runs.map((run) => stringWidth(text(run))));
}

function padded(text: string, columns: number, isRight = false): string {
  const space = ' '.repeat(Math.max(0, columns - stringWidth(text)));
  return isRight ? space + text : text + space;
}

/** The start and the end of a text that is too wide: runs of one dataset differ in their ends. */
function withoutMiddle(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  const characters = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
  for (let kept = characters.length - 1; kept > 1; kept--) {
    const head = Math.ceil(kept / 2);
    const shortened = `${characters.slice(0, head).join('')}…${characters.slice(characters.length - (kept - head)).join('')}`;
    if (stringWidth(shortened) <= width) return shortened;
  }
  return '…';
}

/** `1,990`, or `120 of 1,990` while rows are missing. */
function rowsText({ rows }: ListedRun): string {
  if (rows === null) return '?';
  return rows.pending === 0
    ? count(rows.total)
    : `${count(rows.total - rows.pending)} of ${count(rows.total)}`;
}

function costText({ cost_usd: cost, cost_estimated: isEstimate }: ListedRun): string {
  return cost === null ? '?' : spent(cost, isEstimate);
}

function notesText({ note, rows }: ListedRun): string {
  const lacking = (['failed', 'refused', 'filtered', 'truncated'] as const)
    .filter((state) => (rows?.[state] ?? 0) > 0)
    .map((state) => `${count(rows?.[state] ?? 0)} ${state}`);
  return [note, ...lacking].filter((text) => text !== '').join(', ');
}

/** `532 B`, `1.2 MB`. */
function bytesText(bytes: number): string {
  let amount = bytes;
  let unit = 0;
  for (; amount >= 999.5 && unit < UNITS.length - 1; unit++) amount /= 1000;
  return `${unit === 0 || amount >= 99.5 ? Math.round(amount) : amount.toPrecision(2)} ${UNITS[unit] ?? ''}`;
}
