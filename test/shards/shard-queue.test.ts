import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readBatch } from '../../src/batches/batch.js';
import { newChunk, type Chunk } from '../../src/batches/chunk.js';
import { Ledger } from '../../src/batches/ledger.js';
import { submitChunks, type SubmitParts } from '../../src/batches/submit.js';
import { makeFolder } from '../../src/lib/files.js';
import { runFolder } from '../../src/run/folder.js';
import { ShardQueue } from '../../src/session/shard-queue.js';
import type { ShardState } from '../../src/shards/state.js';
import { temporaryFolder } from '../support/cli.js';

const LIMIT = 1000;

function chunkOf(number: number, tokens: number): Chunk {
  return newChunk(number, `jobs_batch_${number}.json`, { requests: 1, bytes: 1, tokens });
}

function make(chunk: Chunk, ledger: Ledger): void {
  const batch = readBatch({ id: `batch_${chunk.number}`, status: 'in_progress', created_at: 1 });
  if (chunk.inputFileId === null) ledger.change(chunk, { kind: 'uploaded', fileId: 'f', at: null });
  ledger.change(chunk, { kind: 'creating', creation: 'c', at: 1 });
  if (batch !== null) ledger.change(chunk, { kind: 'created', batch });
}

/** Workers that see each other's states, each with chunks to submit. */
function fleet(sizes: readonly (readonly number[])[], now: () => number = () => 0) {
  const states: (Pick<ShardState, 'queue'> | null)[] = sizes.map(() => null);
  return sizes.map((tokens, shard) => {
    const folder = temporaryFolder();
    makeFolder(join(folder, 'run'));
    const ledger = Ledger.open(runFolder(folder, folder, 'run'));
    ledger.add(tokens.map((size, number) => chunkOf(number, size)));
    const queue: ShardQueue = new ShardQueue({
      ledger,
      others: () => states.filter((_, other) => other !== shard),
      note: () => {
        states[shard] = { queue: queue.own };
      },
      clock: { now },
    });
    return { ledger, queue, note: () => (states[shard] = { queue: queue.own }) };
  });
}

it('workers that know the limit never announce more than it together, in any order', () => {
  const size = fc.integer({ min: 1, max: LIMIT });
  fc.assert(
    fc.property(
      fc.array(fc.array(size, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 4 }),
      fc.infiniteStream(fc.nat(3)),
      (sizes, order) => {
        const workers = fleet(sizes);
        workers[0]?.ledger.noteQueueLimit(LIMIT);
        workers[0]?.note();
        for (let turn = 0; turn < 20; turn++) {
          const worker = workers[(order.next().value ?? 0) % workers.length];
          if (worker === undefined) continue;
          const { ledger, queue } = worker;
          ledger.noteQueueLimit(queue.limit);
          const room = LIMIT - queue.tokens - queue.own.tokens;
          const next = ledger.unsubmitted.filter(({ tokens }) => tokens <= room).slice(0, 1);
          if (queue.reserve(next)) for (const chunk of next) make(chunk, ledger);
          queue.release();
          const all = workers.reduce((sum, one) => sum + one.queue.own.tokens, 0);
          expect(all).toBeLessThanOrEqual(LIMIT);
        }
        for (const { queue } of workers.slice(1)) expect(queue.limit).toBe(LIMIT);
      },
    ),
    { numRuns: 30 },
  );
});

it('of two workers that announce the last room at the same moment both step back', () => {
  const [one, other] = fleet([[600], [600]]);
  if (one === undefined || other === undefined) throw new Error('two workers');
  for (const { ledger } of [one, other]) ledger.noteQueueLimit(LIMIT);
  // The other one announces its own between this one's look and its announcement.
  const announced = new ShardQueue({
    ledger: one.ledger,
    others: () => [{ queue: other.queue.own }],
    note: () => {
      other.queue.reserve(other.ledger.chunks);
    },
    clock: { now: () => 0 },
  });
  expect(announced.reserve(one.ledger.chunks)).toBe(false);
  expect(announced.own.tokens).toBe(0);
});

it('what does not fit beside others is neither uploaded nor submitted, and waits', async () => {
  const [one, other] = fleet([[600, 300], [500]]);
  if (one === undefined || other === undefined) throw new Error('two workers');
  other.ledger.noteQueueLimit(LIMIT);
  for (const chunk of other.ledger.chunks) make(chunk, other.ledger);
  other.note();
  const parts = {
    ledger: one.ledger,
    queue: one.queue,
    affordable: () => true,
    waiting: { signal: new AbortController().signal },
  } as unknown as SubmitParts;
  expect(await submitChunks(one.ledger.chunks, parts)).toMatchObject({ failed: [] });
  expect(one.ledger.chunks.map(({ state }) => state)).toEqual(['waiting', 'waiting']);
});

it('a worker that waits for half an hour with an empty queue tries once, despite leftovers of a dead one', () => {
  let now = 0;
  const [one, dead] = fleet([[600], [900]], () => now);
  if (one === undefined || dead === undefined) throw new Error('two workers');
  for (const chunk of dead.ledger.chunks) make(chunk, dead.ledger);
  dead.note();
  for (const chunk of one.ledger.chunks)
    one.ledger.change(chunk, { kind: 'waits', reason: null, tryAgainAt: null });
  expect(one.queue.tokens).toBe(900);
  now = 31 * 60_000;
  expect(one.queue.tokens).toBe(0);
  expect(one.queue.tokens).toBe(900);
});
