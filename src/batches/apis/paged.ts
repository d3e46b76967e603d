/** Lists and results that come page by page. */

import { isObject } from '../../lib/json.js';
import { readBatch, type Batch } from '../batch.js';
import type { BatchPage, Download } from './batch-api.js';
import { idIn, textIn } from './fields.js';
import type { RequestResult } from './lines.js';
import { readAnswer, UnreadableAnswer } from './transport.js';
import { linesOfList, type ResultList } from './virtual-files.js';

/** A server that makes up new pages is not followed for ever. */
const MOST_PAGES = 1_000_000;

/** A page as it came: its items, and the cursor of the next one (null at the end). */
export interface Page {
  items: readonly unknown[];
  next: string | null;
}

/** Where a page has its items, and what leads to the next one. */
interface PageShape {
  /** The field that holds the items: the first of these that is an array. */
  names: readonly string[];
  /** The field with the token of the next page. */
  next: string;
  /** True where a page without items may lack the field, as in Google's APIs. */
  isOptional?: boolean;
}

/**
 * Reads a page.
 * @throws UnreadableAnswer where it has no items
 */
export async function readItems(
  what: string,
  response: Promise<Response>,
  { names, next, isOptional = false }: PageShape,
): Promise<Page> {
  const answer = await readAnswer(what, response);
  const list = isObject(answer) ? names.map((name) => answer[name]).find(Array.isArray) : undefined;
  if (list === undefined && !(isOptional && isObject(answer) && Object.keys(answer).length === 0)) {
    throw new UnreadableAnswer(what, answer);
  }
  return { items: (list as unknown[] | undefined) ?? [], next: textIn(answer, next) };
}

/**
 * A page of batches, each read by `read`.
 * @param id the field with an entry's id
 * @param isForeign true for an entry that says that another program made it, so that it need not be readable
 */
export function batchPage(
  { items, next }: Page,
  read: (item: unknown) => Batch | null,
  id: string,
  isForeign: (item: unknown) => boolean = () => false,
): BatchPage {
  const entries = items.map((item) => ({ item, batch: read(item) }));
  return {
    batches: entries.flatMap(({ batch }) => (batch === null ? [] : [batch])),
    unreadable: entries.flatMap(({ item, batch }) =>
      batch === null ? [{ id: idIn(item, id), isForeign: isForeign(item) }] : [],
    ),
    hasMore: next !== null,
    next,
  };
}

/**
 * The lines of one of a batch's lists, whose results come page by page. The first page is read now, so that a batch that
 * is not there is an error of this call.
 */
export async function downloadPages(
  list: ResultList,
  readPage: (cursor: string | null) => Promise<Page>,
  read: (item: unknown) => RequestResult | null,
): Promise<Download> {
  const results = resultsOnPages(await readPage(null), readPage, read);
  return { offset: 0, total: null, isFresh: true, bytes: linesOfList(results, list) };
}

/** The results on all pages. */
async function* resultsOnPages(
  first: Page,
  readPage: (cursor: string) => Promise<Page>,
  read: (item: unknown) => RequestResult | null,
): AsyncGenerator<RequestResult | Buffer> {
  let page = first;
  let cursor: string | null = null;
  for (let pages = 1; pages <= MOST_PAGES; pages++) {
    for (const item of page.items) yield read(item) ?? Buffer.from(JSON.stringify(item));
    if (page.next === null || page.next === cursor) return;
    cursor = page.next;
    page = await readPage(cursor);
  }
}

/**
 * What `read` makes of an answer.
 * @throws UnreadableAnswer where that is nothing
 */
export async function readOne(
  response: Promise<Response>,
  read: (value: unknown) => Batch | null = readBatch,
): Promise<Batch> {
  const answer = await readAnswer('a batch', response);
  const batch = read(answer);
  if (batch === null) throw new UnreadableAnswer('a batch', answer);
  return batch;
}
