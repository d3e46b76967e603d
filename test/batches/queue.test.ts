import { describe, expect, it } from 'vitest';
import { readBatch, type Batch } from '../../src/batches/batch.js';
import { newChunk, type Chunk } from '../../src/batches/chunk.js';
import { nextFromQueue, refused, untilNextTurn } from '../../src/batches/queue.js';

function batch(status: string): Batch {
  const read = readBatch({ id: 'batch_1', status, created_at: 1 });
  if (read === null) throw new Error('not a batch');
  return read;
}

function chunk(number: number, tokens: number, more: Partial<Chunk> = {}): Chunk {
  return {
    ...newChunk(number, `jobs_batch_${number}.json`, { requests: 10, bytes: 100, tokens }),
    state: 'waiting',
    ...more,
  };
}

function underWay(number: number, tokens: number): Chunk {
  return chunk(number, tokens, { state: 'submitted', batch: batch('in_progress') });
}

const NOW = 1000;

describe('the queue', () => {
  it('lets as many go as fit under the limit, in their order', () => {
    const chunks = [
      underWay(0, 400),
      chunk(1, 300, { tryAgainAt: 0 }),
      chunk(2, 300, { tryAgainAt: 0 }),
      chunk(3, 300, { tryAgainAt: 0 }),
    ];
    expect(nextFromQueue(chunks, 1000, NOW).map(({ number }) => number)).toEqual([1, 2]);
    expect(nextFromQueue(chunks, 600, NOW)).toEqual([]);
  });

  it('polls at the usual interval while a chunk whose turn has come finds no room', () => {
    const chunks = [underWay(0, 400), chunk(1, 700, { tryAgainAt: NOW - 1 })];
    expect(nextFromQueue(chunks, 1000, NOW)).toEqual([]);
    expect(untilNextTurn(chunks, NOW, 60_000)).toBe(60_000);
    expect(untilNextTurn([...chunks, chunk(2, 100, { tryAgainAt: NOW + 500 })], NOW, 60_000)).toBe(500);
    expect(untilNextTurn([], NOW, 60_000)).toBe(60_000);
  });

  it('does not wait for a time that was noted before the clock was set back', () => {
    const later = chunk(1, 300, { tryAgainAt: NOW + 60_000 });
    const lost = chunk(2, 300, { tryAgainAt: NOW + 86_400_000 });
    expect(nextFromQueue([later], 1000, NOW)).toEqual([]);
    expect(nextFromQueue([lost], 1000, NOW)).toEqual([lost]);
  });

  it('lets one go for each that ended, where the limit is not known', () => {
    const chunks = [underWay(0, 400), chunk(1, 300), chunk(2, 300)];
    expect(nextFromQueue(chunks, null, NOW)).toEqual([]);
    const roomMade = chunks.map((one) => (one.state === 'waiting' ? { ...one, tryAgainAt: NOW } : one));
    expect(nextFromQueue(roomMade, null, NOW).map(({ number }) => number)).toEqual([1]);
  });

  it('tries one that is alone whatever the estimate says', () => {
    expect(nextFromQueue([chunk(1, 5000)], 1000, NOW)).toHaveLength(1);
  });

  it('leaves other workers the room that they use, and notices when they no longer need it', () => {
    const chunks = [underWay(0, 100), chunk(1, 300), chunk(2, 300)];
    const numbers = (others: number): number[] =>
      nextFromQueue(chunks, 1000, NOW, others).map(({ number }) => number);
    expect(numbers(0)).toEqual([1, 2]);
    expect(numbers(300)).toEqual([1, 2]);
    expect(numbers(301)).toEqual([1]);
    expect(numbers(900)).toEqual([]);
    const idle = [chunk(1, 300)];
    expect(nextFromQueue(idle, 1000, NOW, 900)).toEqual([]);
    expect(nextFromQueue(idle, null, NOW, 900)).toEqual(idle);
  });

  it('does not halve a chunk that others delay, unless it can never fit', () => {
    const fitting = chunk(1, 500, { state: 'submitted', batch: batch('failed'), refusals: 5 });
    const shared = { limit: 1000, now: NOW, pause: 60_000, others: 900 };
    expect(refused(fitting, { chunks: [fitting], ...shared })).toEqual({
      isTooLarge: false,
      tryAgainAt: NOW + 30 * 60_000,
      refusals: 6,
    });
    expect(refused(fitting, { chunks: [fitting], ...shared, limit: null }).isTooLarge).toBe(false);
    const large = chunk(2, 1001, { state: 'submitted', batch: batch('failed') });
    expect(refused(large, { chunks: [large], ...shared }).isTooLarge).toBe(true);
  });

  const QUEUE = { limit: 1000, now: NOW, pause: 60_000 };

  it('waits for its own batches before it halves anything', () => {
    const one = chunk(1, 5000, { state: 'submitted', batch: batch('failed') });
    expect(refused(one, { chunks: [one, underWay(0, 10)], ...QUEUE })).toEqual({
      isTooLarge: false,
      tryAgainAt: null,
      refusals: 0,
    });
  });

  it('halves a chunk that is larger than the whole limit, or alone and refused although it should fit', () => {
    const large = chunk(1, 5000, { state: 'submitted', batch: batch('failed') });
    expect(refused(large, { chunks: [large], ...QUEUE }).isTooLarge).toBe(true);
    const fitting = chunk(2, 500, { state: 'submitted', batch: batch('failed') });
    const first = refused(fitting, { chunks: [fitting], ...QUEUE });
    expect(first).toEqual({ isTooLarge: false, tryAgainAt: NOW + 120_000, refusals: 1 });
    const waiting = { ...fitting, state: 'waiting' as const, ...first };
    expect(nextFromQueue([waiting], 1000, NOW)).toEqual([]);
    expect(refused(waiting, { chunks: [waiting], ...QUEUE }).isTooLarge).toBe(true);
  });
});
