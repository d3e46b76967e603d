import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readBatch, type Batch } from '../../src/batches/batch.js';
import { CHUNK_STATES, newChunk, type Chunk, type ChunkState } from '../../src/batches/chunk.js';
import { Ledger } from '../../src/batches/ledger.js';
import type { ParameterChange } from '../../src/requests/parameters.js';
import { runFolder, type RunFolder } from '../../src/run/folder.js';
import { temporaryFolder } from '../support/cli.js';

const SIZES = { requests: 2, bytes: 100, tokens: 10 };

function emptyFolder(): RunFolder {
  const root = temporaryFolder();
  const folder = runFolder(join(root, 'saved'), join(root, 'temp'), 'run');
  for (const path of [folder.save, folder.temp]) mkdirSync(path, { recursive: true });
  return folder;
}

function batch(id: string, more: object = {}): Batch {
  const read = readBatch({ id, status: 'completed', created_at: 5, ...more });
  if (read === null) throw new Error('no batch');
  return read;
}

const chunkIn = (state: ChunkState, number = 0, more: Partial<Chunk> = {}): Chunk => ({
  ...newChunk(number, `jobs_batch_${number}.json`, SIZES),
  state,
  ...more,
});

/** A ledger with one chunk in each state, numbered as the states are. */
function withEveryState(): Ledger {
  const ledger = Ledger.open(emptyFolder());
  ledger.add(CHUNK_STATES.map((state, number) => chunkIn(state, number)));
  return ledger;
}

const states = (chunks: readonly Chunk[]): ChunkState[] => chunks.map(({ state }) => state);

describe('which chunks a question is about', () => {
  it.each<[question: 'open' | 'unsubmitted' | 'unanswered' | 'holding' | 'outstanding', ChunkState[]]>([
    ['open', ['submitted']],
    ['unsubmitted', ['planned', 'uploaded', 'creating', 'waiting']],
    ['unanswered', ['creating']],
    ['holding', ['planned', 'uploaded', 'creating', 'submitted', 'waiting', 'short', 'gone']],
    ['outstanding', ['creating', 'short', 'gone']],
  ])('%s', (question, expected) => {
    expect(states(withEveryState()[question])).toEqual(expected);
  });
});

describe('a batch that the queue refused', () => {
  it.each([
    ['waits for room', { kind: 'waits', reason: 'full', tryAgainAt: 1, refusals: 1 }, 'waiting'],
    ['is cut in halves', { kind: 'halved' }, 'halved'],
  ] as const)('stays on the list when its chunk %s', (_, event, state) => {
    const ledger = Ledger.open(emptyFolder());
    const chunk = chunkIn('submitted', 0, { batch: batch('batch_refused') });
    ledger.add([chunk, chunkIn('submitted', 1, { batch: batch('batch_earlier', { created_at: 1 }) })]);
    expect(ledger.change(chunk, event)).toBe(state);
    expect(chunk.batch).toBeNull();
    expect(ledger.batches.map(({ id }) => id)).toEqual(['batch_earlier', 'batch_refused']);
  });
});

describe('room in the queue', () => {
  it('lets waiting requests try, and keeps a time that is set', () => {
    const ledger = Ledger.open(emptyFolder());
    const waiting = [null, 900].map((tryAgainAt, number) => chunkIn('waiting', number, { tryAgainAt }));
    ledger.add([...waiting, chunkIn('submitted', 2)]);
    ledger.noteRoom(500);
    expect(ledger.chunks.map(({ tryAgainAt }) => tryAgainAt)).toEqual([500, 900, null]);
  });

  it('has the last limit that a refusal named', () => {
    const ledger = Ledger.open(emptyFolder());
    expect(ledger.queueLimit).toBeNull();
    for (const limit of [2000, null]) ledger.noteQueueLimit(limit);
    expect(ledger.queueLimit).toBe(2000);
  });
});

describe('what is forgotten', () => {
  it('is a chunk without a batch, and never one whose batch may exist', () => {
    const ledger = Ledger.open(emptyFolder());
    ledger.add([chunkIn('planned', 0), chunkIn('creating', 1), chunkIn('submitted', 2)]);
    ledger.forget([...ledger.unsubmitted]);
    expect(ledger.chunks.map(({ number }) => number)).toEqual([1, 2]);
    expect(ledger.nextNumber).toBe(3);
  });

  it('is not accepted by another ledger', () => {
    expect(() => Ledger.open(emptyFolder()).change(chunkIn('planned'), { kind: 'given_up' })).toThrow(
      'a chunk of another ledger',
    );
  });
});

it('keeps the first change of each parameter that the API refused', () => {
  const ledger = Ledger.open(emptyFolder());
  const change = (parameter: string, to: string): ParameterChange => ({
    parameter,
    renamed_to: to,
    reason: 'the model does not know it',
  });
  ledger.learn([change('max_tokens', 'max_completion_tokens'), change('stop', 'stops')]);
  ledger.learn([change('max_tokens', 'other')]);
  expect(ledger.learnt).toEqual([change('max_tokens', 'max_completion_tokens'), change('stop', 'stops')]);
});

it('adds up what batches came to, wasted tokens apart', () => {
  const folder = emptyFolder();
  const usage = (prompt: number): object => ({ promptTokens: prompt });
  const collected = { at: 1, processed: 3, answers: 2, accounted: 3, said: null };
  writeFileSync(
    folder.batches,
    JSON.stringify({
      ...{ version: 2, queueLimit: null, learnt: [], superseded: [] },
      chunks: [7, 5].map((tokens, number) =>
        chunkIn('collected', number, {
          collected: { ...collected, usage: usage(tokens), wasted: usage(1) } as never,
        }),
      ),
    }),
  );
  const { usage: billed, wasted, processed, answers } = Ledger.open(folder).totals();
  expect({ billed: billed.promptTokens, wasted: wasted.promptTokens, processed, answers }).toEqual({
    ...{ billed: 12, wasted: 2, processed: 6, answers: 4 },
  });
});

describe('on disk', () => {
  it('reads back every chunk, batch and limit', async () => {
    const folder = emptyFolder();
    const ledger = Ledger.open(folder);
    ledger.add(
      CHUNK_STATES.map((state, number) => chunkIn(state, number, { batch: batch(`batch_${number}`) })),
    );
    ledger.supersede([batch('batch_before')]);
    ledger.noteQueueLimit(9000);
    // Calls that come while one is being written share the next.
    await Promise.all([ledger.save(), ledger.save(), ledger.save()]);
    const again = Ledger.open(folder);
    expect(again.chunks).toEqual(ledger.chunks);
    expect([again.queueLimit, again.batches]).toEqual([9000, ledger.batches]);
    const objects = JSON.parse(readFileSync(folder.batchObjects, 'utf8')) as { id: string }[];
    expect(objects.map(({ id }) => id)).toEqual(ledger.batches.map(({ id }) => id));
  });

  const file = (more: object, chunk: object = {}): string =>
    JSON.stringify({ version: 2, chunks: [{ ...chunkIn('planned'), ...chunk }], ...more });

  it.each([
    ['is no JSON', '{"version": 2'],
    ['is of a version to come', file({ version: 3 })],
    ['has no list of chunks', file({ chunks: {} })],
    ['has a chunk in a state to come', file({}, { state: 'frozen' })],
    ['has a chunk without its size', file({}, { requests: 'many' })],
    ['has a batch without its id', file({}, { batch: { raw: { status: 'completed' } } })],
  ])('a file that %s is an error with the way out, since what it knew may be paid for', (_, text) => {
    const folder = emptyFolder();
    writeFileSync(folder.batches, text);
    expect(() => Ledger.open(folder)).toThrow(/cannot be read.*watch-batch --recover/);
  });

  const refused = { id: 'batch_1', status: 'failed', errors: { data: [{ code: 'token_limit_exceeded' }] } };
  const done = { raw: { id: 'batch_1', status: 'completed' } };
  it.each<[what: string, chunk: object, state: ChunkState]>([
    ['no batch', { batch: null }, 'too_large'],
    ['a batch that the queue refused', { batch: { raw: refused } }, 'too_large'],
    ['a batch of which nothing was collected', { batch: done, collected: null }, 'submitted'],
    ['a batch that was collected', { batch: done, collected: { at: 1 } }, 'short'],
  ])(
    '"collected" of the first version with %s is looked at again where that may matter',
    (_, chunk, state) => {
      const folder = emptyFolder();
      writeFileSync(folder.batches, file({ version: 1 }, { state: 'collected', ...chunk }));
      expect(states(Ledger.open(folder).chunks)).toEqual([state]);
    },
  );
});
