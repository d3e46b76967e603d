import { describe, expect, it } from 'vitest';
import { walkAccount } from '../../src/batches/account.js';
import { readBatch, type Batch } from '../../src/batches/batch.js';
import type { BatchApi, BatchPage } from '../../src/batches/apis/batch-api.js';
import { systemClock } from '../../src/lib/clock.js';

const waiting = { clock: systemClock, random: () => 0, signal: new AbortController().signal };
const PAGE = 100;

function made(number: number, createdAt = 1_000_000 + number): Batch {
  const batch = readBatch({ id: `batch_${number}`, status: 'completed', created_at: createdAt });
  if (batch === null) throw new Error('no batch');
  return batch;
}

/** Batches with the numbers from … to, newest first. */
function newestFirst(from: number, to: number): Batch[] {
  return Array.from({ length: from - to + 1 }, (_, index) => made(from - index));
}

type Answer = (after: string | null, page: number) => BatchPage;

/** An account whose list is answered by `answer`; `pages` counts how often. */
function account(answer: Answer): BatchApi & { pages: number } {
  const client = {
    pages: 0,
    list: (after: string | null): Promise<BatchPage> => Promise.resolve(answer(after, ++client.pages)),
    retrieve: (id: string): Promise<Batch> => Promise.reject(new Error(`no batch ${id}`)),
    identify: (batch: Batch): Promise<Batch> => Promise.resolve(batch),
  };
  return client as unknown as BatchApi & { pages: number };
}

/** As OpenAI pages a list. */
function paged(batches: readonly Batch[]): Answer {
  return (after) => {
    const start = after === null ? 0 : batches.findIndex(({ id }) => id === after) + 1;
    const shown = batches.slice(start, start + PAGE);
    const hasMore = start + PAGE < batches.length;
    return { batches: shown, unreadable: [], hasMore, next: hasMore ? (shown.at(-1)?.id ?? null) : null };
  };
}

async function walk(answer: Answer, floor: number | null, wanted: string): Promise<object> {
  const client = account(answer);
  let isFound = false;
  const visit = ({ id }: Batch): boolean => {
    isFound ||= id === wanted;
    return isFound;
  };
  const { doubt } = await walkAccount(client, waiting, { floor, visit });
  return { isFound, doubt, pages: client.pages };
}

const foreign = (page: number): BatchPage => ({
  batches: [],
  unreadable: Array.from({ length: PAGE }, (_, index) => ({ id: `x_${page}_${index}`, isForeign: true })),
  hasMore: true,
  next: `x_${page}_99`,
});

describe('a search through the account’s batches', () => {
  const many = newestFirst(1200, 1);

  it.each<[string, Answer, number | null, string, object]>([
    ['finds one behind 1,100 newer ones', paged(many), null, 'batch_95', { isFound: true, doubt: null }],
    ['reads to the end where no age ends it', paged(many), null, 'none', { doubt: null, pages: 12 }],
    ['ends at the floor', paged(many), 1_001_050, 'none', { isFound: false, doubt: null, pages: 3 }],
    [
      'goes beyond the floor where the list is not sorted',
      paged([...many].reverse()),
      1_001_050,
      'none',
      { pages: 12 },
    ],
    [
      'goes beyond the floor where the server gives no times',
      paged(Array.from({ length: 300 }, (_, number) => made(number, 0))),
      1_001_050,
      'batch_299',
      { isFound: true },
    ],
    [
      'doubts a list that begins again',
      () => ({ batches: many.slice(0, PAGE), unreadable: [], hasMore: true, next: 'batch_1101' }),
      null,
      'none',
      { doubt: 'the account’s list of batches repeats itself', pages: 2 },
    ],
    [
      'doubts a list that goes round under new addresses',
      (_, page) => ({ batches: many.slice(0, PAGE), unreadable: [], hasMore: true, next: `page ${page}` }),
      null,
      'none',
      { doubt: 'the account’s list of batches repeats itself', pages: 2 },
    ],
    [
      'doubts a list that promises more and does not say where',
      () => ({ batches: many.slice(0, PAGE), unreadable: [], hasMore: true, next: null }),
      null,
      'none',
      { doubt: 'the account’s list of batches breaks off', pages: 1 },
    ],
    [
      'passes pages of other tools’ entries',
      (after, page) => (page < 4 ? foreign(page) : paged(many)(page === 4 ? null : after, page)),
      null,
      'batch_1200',
      { isFound: true, doubt: null, pages: 4 },
    ],
    [
      'doubts an entry that nobody can read',
      () => ({ batches: [], unreadable: [{ id: 'b', isForeign: false }], hasMore: false, next: null }),
      null,
      'none',
      { doubt: '1 entry of the account’s list of batches cannot be read' },
    ],
  ])('%s', async (_, answer, floor, wanted, expected) => {
    expect(await walk(answer, floor, wanted)).toMatchObject(expected);
  });
});
