/** `/rows` of the datasets-server: pages of at most 100 rows, several at a time, delivered in order. */

import pLimit from 'p-limit';
import { isObject, parseExact } from '../lib/json.js';
import { TemporaryError, type UserError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';
import type { RowSelection, SourceRow } from '../types.js';
import type { HubClient } from './hub-client.js';
import { hasNumbers } from './json-row.js';

/** `libcommon/constants.py`, MAX_NUM_ROWS_PER_PAGE. */
const PAGE_ROWS = 100;
const PAGES_IN_FLIGHT = 8;
/** Characters of pages in flight together, estimated from those that came. */
const CHARACTERS_IN_FLIGHT = 8 << 20;

/** Which table of the Hub. */
export interface HubTable {
  dataset: string;
  subset: string;
  split: string;
}

/** What the first page says of a table. */
export interface TableFacts {
  columns: string[];
  totalRows: number;
  /** True where the Hub serves only the first part of the split. */
  partial: boolean;
}

interface Page {
  rows: SourceRow[];
  facts: TableFacts;
  /** Of its JSON. */
  characters: number;
}

/** Reads columns and number of rows. */
export async function readTableFacts(client: HubClient, table: HubTable): Promise<TableFacts> {
  return (await readPage(client, table, { offset: 0, length: 1, columns: [] })).facts;
}

/** The selected rows. */
export async function* readHubRows(
  client: HubClient,
  table: HubTable,
  totalRows: number,
  { columns, offset, limit, signal }: RowSelection,
): AsyncGenerator<SourceRow> {
  const end = Math.min(totalRows, limit === null ? Infinity : offset + limit);
  const schedule = pLimit(PAGES_IN_FLIGHT);
  const pages: Promise<Page>[] = [];
  let next = offset;
  // One page shows how large they are.
  let most = 1;
  const fill = (): void => {
    while (next < end && pages.length < most) {
      const start = next;
      const length = Math.min(PAGE_ROWS, end - start);
      const page = schedule(() => readPage(client, table, { offset: start, length, columns }));
      // To a reader that stops early, pages that fail later do not matter.
      page.catch(() => undefined);
      pages.push(page);
      next += length;
    }
  };
  fill();
  for (let page = pages.shift(); page !== undefined; page = pages.shift()) {
    const { rows, characters } = await page;
    signal?.throwIfAborted();
    most = Math.max(1, Math.min(PAGES_IN_FLIGHT, Math.floor(CHARACTERS_IN_FLIGHT / characters)));
    fill();
    yield* rows;
  }
}

async function readPage(
  client: HubClient,
  { dataset, subset, split }: HubTable,
  { offset, length, columns }: { offset: number; length: number; columns: readonly string[] },
): Promise<Page> {
  const query = { dataset, config: subset, split, offset, length };
  const { value: answer, text } = await client.getWithText('rows', query);
  const { rows, features, num_rows_total: total } = answer;
  if (!Array.isArray(rows)) throw unexpected(dataset, 'a page without rows');
  if (typeof total !== 'number' || !Number.isSafeInteger(total) || total < 0) {
    throw unexpected(dataset, 'a page without the number of rows');
  }
  const facts: TableFacts = {
    columns: readColumns(features, rows),
    totalRows: total,
    partial: answer['partial'] === true,
  };
  const expected = Math.max(0, Math.min(length, facts.totalRows - offset));
  if (rows.length < expected)
    throw unexpected(dataset, `${rows.length} rows from row ${offset} on instead of ${expected}`);
  return {
    facts,
    characters: text.length,
    rows: withExactNumbers(rows, text, columns)
      .slice(0, length)
      .map((row: unknown, position) => readRow(row, offset + position, columns)),
  };
}

/** A page's rows; those with numbers in a used column are read again, so that these keep their spelling. */
function withExactNumbers(
  rows: readonly unknown[],
  text: string,
  columns: readonly string[],
): readonly unknown[] {
  const isNeeded = rows.some(
    (row) => isObject(row) && isObject(row['row']) && hasNumbers(row['row'], columns),
  );
  const exact = isNeeded ? parseExact(text) : null;
  return isObject(exact) && Array.isArray(exact['rows']) ? exact['rows'] : rows;
}

function readColumns(features: unknown, rows: readonly unknown[]): string[] {
  if (Array.isArray(features)) return features.filter(isObject).map((feature) => String(feature['name']));
  const first = rows.find(isObject)?.['row'];
  return isObject(first) ? Object.keys(first) : [];
}

/** A cell that the viewer has cut never becomes a prompt. */
function readRow(row: unknown, index: number, columns: readonly string[]): SourceRow {
  if (!isObject(row) || !isObject(row['row'])) return { index, problem: `row ${index}: the Hub sent no row` };
  const truncated = Array.isArray(row['truncated_cells']) ? row['truncated_cells'] : [];
  const cut = columns.find((column) => truncated.includes(column));
  if (cut === undefined) return { index, value: row['row'] };
  return {
    index,
    problem: `row ${index}: the Hub sent only a part of "${sanitize(cut, 60)}", which is too long for it`,
  };
}

function unexpected(dataset: string, what: string): UserError {
  return new TemporaryError(
    `The Hub answered for ${sanitize(dataset, 120)} with ${what}; run the command again later.`,
  );
}
