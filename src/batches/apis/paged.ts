/** Lists and results that come page by page. */

import { isObject } from '../../lib/json.js';
import { readBatch, type Batch } from '../batch.js';
import { isId } from '../id.js';
import type { BatchPage } from './batch-api.js';
import type { RequestResult } from './lines.js';
import { readAnswer, UnreadableAnswer } from './transport.js';

/** A server that makes up new pages is not followed for ever. */
const MOST_PAGES = 1_000_000;

/** A page as it came: its items, and what the next one is asked for with (null at the end). */
export interface Page {
  items: readonly unknown[];
  next: string | null;
}

/** The text of a field; null where it has none. */
export function textIn(value: unknown, name: string): string | null {
  const text = isObject(value) ? value[name] : null;
  return typeof text === 'string' && text !== '' ? text : null;
}

/** A whole number of a field, also where it is written as text, as Google's APIs do; 0 where there is none. */
export function numberIn(value: unknown, name: string): number {
  const number = isObject(value) ? Number(value[name]) : 0;
  return Number.isSafeInteger(number) && number >= 0 ? number : 0;
}

/**
 * Reads a page.
 * @param names the field that holds the items: the first of these that is an array
 * @throws UnreadableAnswer where there is none. Google's APIs leave out what is empty: `isOptional`
 */
export async function readItems(
  what: string,
  response: Promise<Response>,
  names: readonly string[],
  next: string,
  isOptional = false,
): Promise<Page> {
  const answer = await readAnswer(what, response);
  const list = isObject(answer) ? names.map((name) => answer[name]).find(Array.isArray) : undefined;
  if (list === undefined && !(isOptional && isObject(answer) && Object.keys(answer).length === 0)) {
    throw new UnreadableAnswer(what, answer);
  }
  return { items: (list as unknown[] | undefined) ?? [], next: textIn(answer, next) };
}

/** A page of batches, each read by `read`. */
export function batchPage(
  { items, next }: Page,
  read: (item: unknown) => Batch | null,
  id: string,
): BatchPage {
  const entries = items.map((item) => ({ item, batch: read(item) }));
  return {
    batches: entries.flatMap(({ batch }) => (batch === null ? [] : [batch])),
    unreadable: entries.flatMap(({ item, batch }) => {
      const name = textIn(item, id);
      return batch === null ? [{ id: name !== null && isId(name) ? name : null, isForeign: false }] : [];
    }),
    hasMore: next !== null,
    next,
  };
}

/** The results on all pages. */
export async function* resultsOnPages(
  readPage: (cursor: string | null) => Promise<Page>,
  read: (item: unknown) => RequestResult | null,
): AsyncGenerator<RequestResult | Buffer> {
  let cursor: string | null = null;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const page: Page = await readPage(cursor);
    for (const item of page.items) yield read(item) ?? Buffer.from(JSON.stringify(item));
    if (page.next === null || page.next === cursor) return;
    cursor = page.next;
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
