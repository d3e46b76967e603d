import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foresee, untilAllAnswered } from '../../src/session/forecast.js';
import { LatencyCounts, type LatencyCurve } from '../../src/session/latency-curve.js';
import { generator, logNormal } from '../support/server-model.js';

function curveOf(
  latencies: readonly number[],
  inFlight: Parameters<LatencyCounts['curve']>[0] = [],
): LatencyCurve {
  const counts = new LatencyCounts();
  // The first one does not count once there are others.
  for (const latency of [1, ...latencies]) counts.add(latency);
  const curve = counts.curve(inFlight);
  if (curve === null) throw new Error('no curve');
  return curve;
}

/** So many latencies that are distributed exponentially: those are as long again at any age. */
function exponential(count: number, mean: number): number[] {
  return Array.from({ length: count }, (_, place) => -mean * Math.log(1 - (place + 0.5) / count)).sort(
    (a, b) => (a % 7) - (b % 7),
  );
}

describe('how long answers take', () => {
  it('falls from all to none, and the mean lies between', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 3_600_000 }), { minLength: 1, maxLength: 60 }),
        (latencies) => {
          const curve = curveOf(latencies);
          const shares = [0, 1, 10, 1000, 60_000, 4_000_000].map((at) => curve.longerThan(at));
          for (const [place, share] of shares.entries())
            expect(share).toBeLessThanOrEqual(place === 0 ? 1 : (shares[place - 1] ?? 0));
          expect(shares.at(-1)).toBe(0);
          expect(curve.mean).toBeGreaterThanOrEqual(Math.min(...latencies) * 0.9);
          expect(curve.mean).toBeLessThanOrEqual(Math.max(...latencies) * 1.1);
          expect(curve.longerThan(curve.exceededBy(0.1))).toBeLessThanOrEqual(0.1);
        },
      ),
    );
  });

  it('forgets the first answer, which may have waited for a model to be loaded', () => {
    const counts = new LatencyCounts();
    counts.add(90_000);
    expect(counts.curve()?.mean).toBeGreaterThan(80_000);
    for (let answer = 0; answer < 5; answer++) counts.add(1000);
    expect(counts.curve()?.mean).toBeLessThan(1200);
  });

  it('follows a server that gets slower', () => {
    const curve = curveOf([...new Array<number>(1000).fill(1000), ...new Array<number>(600).fill(4000)]);
    expect(curve.mean).toBeGreaterThan(3500);
  });

  it('is not taken in by the quick ones of requests that were sent together', () => {
    const random = generator(3);
    const service = logNormal(6000, 0.5);
    const latencies = Array.from({ length: 200 }, () => service(random)).sort((a, b) => a - b);
    const answered = latencies.slice(0, 100);
    const [now = 0] = answered.slice(-1);
    const naive = curveOf(answered).mean;
    const corrected = curveOf(answered, [{ age: now, requests: 100 }]).mean;
    expect(naive).toBeLessThan(4500);
    // Nobody knows yet how much longer the slow half takes; at least as long as it has.
    expect(corrected).toBeGreaterThan((naive + now) / 2);
  });
});

describe('until the last of the requests in flight is answered', () => {
  it.each([
    [0, 2000],
    [1500, 500],
  ])('where all take 2 s and were sent %i ms ago: about %i ms', (age, expected) => {
    const curve = curveOf(new Array<number>(100).fill(2000));
    const milliseconds = untilAllAnswered([{ age, requests: 20 }], curve);
    expect(Math.abs(milliseconds - expected)).toBeLessThan(300);
  });

  it.each([1, 4, 32])(
    '%i of exponential latencies take as long as the harmonic number says, at any age',
    (requests) => {
      const curve = curveOf(exponential(200, 1000));
      const harmonic = Array.from({ length: requests }, (_, place) => 1 / (place + 1)).reduce(
        (a, b) => a + b,
      );
      for (const age of [0, 800]) {
        const milliseconds = untilAllAnswered([{ age, requests }], curve);
        expect(milliseconds / 1000 / harmonic).toBeGreaterThan(0.8);
        expect(milliseconds / 1000 / harmonic).toBeLessThan(1.2);
      }
    },
  );
});

describe('what is foreseen while the requests in flight multiply', () => {
  const curve = curveOf(new Array<number>(100).fill(1000));
  const outlook = {
    inFlight: [{ age: 0, requests: 16 }],
    limit: 16,
    maximum: 512,
    growth: 1,
    allowed: Infinity,
  };

  it('they double with every answer’s time', () => {
    // 16 in flight, then 32, 64 and 128.
    expect(foresee({ ...outlook, unsent: 224 }, curve) / 1000).toBeCloseTo(4, 0);
  });

  it('rate limits bound them', () => {
    const milliseconds = foresee({ ...outlook, unsent: 10_000, allowed: 0.1 }, curve);
    expect(milliseconds / 100_000).toBeGreaterThan(0.95);
    expect(milliseconds / 100_000).toBeLessThan(1.1);
  });

  it('any number of rows is foreseen in few steps', () => {
    const milliseconds = foresee({ ...outlook, unsent: 1_000_000 }, curve);
    expect(milliseconds / 1e6).toBeGreaterThan(1.8);
    expect(milliseconds / 1e6).toBeLessThan(2.2);
    expect(Number.isFinite(foresee({ ...outlook, unsent: 1e9, growth: 0, limit: 1 }, curve))).toBe(true);
  });
});
