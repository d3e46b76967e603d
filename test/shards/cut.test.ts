import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutRows, shardsFor } from '../../src/shards/cut.js';

describe('the number of shards', () => {
  it.each([
    { rows: 1, workers: null, shards: 1 },
    { rows: 10, workers: null, shards: 10 },
    { rows: 2017, workers: null, shards: 16 },
    { rows: 1_000_000, workers: null, shards: 20 },
    { rows: 10_000_000, workers: null, shards: 200 },
    { rows: 1_000_000_000, workers: null, shards: 960 },
    { rows: 1_000_000_000, workers: 128, shards: 2048 },
    { rows: 1_000_000_000, workers: 4, shards: 64 },
    { rows: 400_000, workers: 100, shards: 16 },
  ])('is $shards for $rows rows and $workers workers', ({ rows, workers, shards }) => {
    expect(shardsFor(rows, workers)).toBe(shards);
  });

  it('is one for each worker in batches, since a worker waits for those of one shard at a time', () => {
    expect(shardsFor(1_000_000_000, 8, true)).toBe(8);
    expect(shardsFor(3, 8, true)).toBe(3);
    expect(shardsFor(1_000_000, null, true)).toBe(20);
  });
});

describe('cutting rows', () => {
  it('gives ranges that follow each other, with a row each, of nearly the same size', () => {
    const range = fc.record({ start: fc.nat(1000), rows: fc.integer({ min: 1, max: 5000 }) });
    fc.assert(
      fc.property(range, fc.integer({ min: 1, max: 200 }), fc.array(fc.nat(6000)), (all, shards, groups) => {
        const starts = [...new Set(groups)].sort((a, b) => a - b);
        for (const cut of [cutRows(all, shards), cutRows(all, shards, starts)]) {
          expect(cut).toHaveLength(Math.min(shards, all.rows));
          let next = all.start;
          for (const { start, rows } of cut) {
            expect(start).toBe(next);
            expect(rows).toBeGreaterThanOrEqual(1);
            next += rows;
          }
          expect(next).toBe(all.start + all.rows);
        }
        const sizes = cutRows(all, shards).map(({ rows }) => rows);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it.each([
    { starts: [0, 100, 200, 300], shards: 4, cuts: [0, 100, 200, 300] },
    { starts: [0, 90, 210, 320], shards: 4, cuts: [0, 90, 210, 320] },
    // One row group as large as everything: it is cut inside.
    { starts: [0], shards: 4, cuts: [0, 100, 200, 300] },
    { starts: [0, 130, 200], shards: 4, cuts: [0, 100, 200, 300] },
  ])('follows row groups at $starts where they are near', ({ starts, shards, cuts }) => {
    expect(cutRows({ start: 0, rows: 400 }, shards, starts).map(({ start }) => start)).toEqual(cuts);
  });
});
