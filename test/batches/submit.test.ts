import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { newChunk } from '../../src/batches/chunk.js';
import type { BatchPage } from '../../src/batches/apis/batch-api.js';
import { Ledger } from '../../src/batches/ledger.js';
import { CreationInDoubt, resolveCreation, type SubmitParts } from '../../src/batches/submit.js';
import { runFolder } from '../../src/run/folder.js';
import { temporaryFolder } from '../support/cli.js';

const EMPTY: BatchPage = { batches: [], unreadable: [], hasMore: false, next: null };
const SPOILT: BatchPage = { ...EMPTY, unreadable: [{ id: null, isForeign: false }] };

/** What becomes of a creation without an answer where each search of the account takes a while. */
async function resolve(page: BatchPage, searchMs: number): Promise<{ state: string; searches: number }> {
  const root = temporaryFolder();
  const folder = runFolder(join(root, 'saved'), join(root, 'temp'), 'run');
  for (const path of [folder.save, folder.temp]) mkdirSync(path, { recursive: true });
  const ledger = Ledger.open(folder);
  const chunk = newChunk(0, 'jobs_batch.json', { requests: 1, bytes: 100, tokens: 10 });
  ledger.add([chunk]);
  ledger.change(chunk, { kind: 'uploaded', fileId: 'file-1', at: 1 });
  ledger.change(chunk, { kind: 'creating', creation: 'creation', at: 1 });
  let [now, searches] = [0, 0];
  const parts = {
    ledger,
    client: {
      list: () => {
        [now, searches] = [now + searchMs, searches + 1];
        return Promise.resolve(page);
      },
      hasFile: () => Promise.resolve(true),
    },
    identity: { uuid: 'run' },
    waiting: {
      clock: { now: () => now, sleep: (wait: number) => Promise.resolve(void (now += wait)) },
      random: () => 0,
      signal: new AbortController().signal,
    },
    reporter: { info: () => undefined, warning: () => undefined },
    isGivenUp: () => false,
  } as unknown as SubmitParts;
  try {
    await resolveCreation(chunk, parts);
  } catch (error) {
    expect(error).toBeInstanceOf(CreationInDoubt);
  }
  return { state: ledger.chunks[0]?.state ?? '', searches };
}

it.each<[string, BatchPage, number, { state: string; searches: number }]>([
  ['an account that shows none is asked until it has settled', EMPTY, 0, { state: 'uploaded', searches: 6 }],
  [
    'a search that takes a minute is repeated before it counts',
    EMPTY,
    60_000,
    { state: 'uploaded', searches: 2 },
  ],
  ['an entry that cannot be read keeps it open', SPOILT, 0, { state: 'creating', searches: 26 }],
  ['also where one search takes a minute', SPOILT, 60_000, { state: 'creating', searches: 1 }],
])('a creation without an answer: %s', async (_, page, searchMs, expected) => {
  expect(await resolve(page, searchMs)).toEqual(expected);
});
