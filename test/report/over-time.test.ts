import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Counter } from '../../src/report/distribution.js';
import { batchesOverTime } from '../../src/report/over-time.js';

describe('quantiles of lengths', () => {
  it.each([
    ['one amount', [10], { median: 10, p95: 10 }],
    ['two amounts', [10, 14], { median: 12, p95: 14 }],
    ['three amounts, also far apart', [0, 7, 2000], { median: 7, p95: 2000 }],
    ['none', [], null],
  ])('are exact for %s', (_, amounts, expected) => {
    const counter = new Counter([0, 25, 34, 5000]);
    for (const amount of amounts) counter.add(amount);
    expect(counter.quantiles).toEqual(expected);
  });

  it('are within a percent for any amounts, also after some were taken back', () => {
    const amounts = fc.array(fc.integer({ min: 0, max: 200_000 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(amounts, fc.array(fc.integer({ min: 0, max: 9000 }), { maxLength: 9 }), (kept, removed) => {
        const counter = new Counter([0, 100]);
        for (const amount of [...removed, ...kept]) counter.add(amount);
        for (const amount of removed) counter.add(amount, -1);
        const sorted = [...kept].sort((a, b) => a - b);
        const p95 = sorted[Math.ceil(sorted.length * 0.95) - 1] ?? 0;
        expect(Math.abs((counter.quantiles?.p95 ?? -1) - p95)).toBeLessThanOrEqual(0.01 * p95 + 1);
      }),
    );
  });
});

describe('the cost of batches over time', () => {
  const batch = (createdAt: number, endedAt: number | null, answers: number) => ({
    createdAt,
    endedAt,
    answers,
  });

  it('rises as batches end, by their answers, up to the cost of the run', () => {
    const time = batchesOverTime([batch(100, 700, 30), batch(100, 1300, 10), batch(100, null, 0)], 4);
    expect(
      time?.steps.map(({ spent }) => spent).filter((spent, place, all) => spent !== all[place - 1]),
    ).toEqual([0, 3, 4]);
    expect(time?.steps.length).toBeLessThanOrEqual(41);
  });

  it.each([
    ['no batch has ended', [batch(100, null, 0)]],
    ['nothing was answered', [batch(100, 700, 0)]],
    ['there are none', []],
  ])('is not shown where %s', (_, batches) => {
    expect(batchesOverTime(batches, 4)).toBeNull();
  });
});
