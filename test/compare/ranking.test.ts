import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesOf, ratings, strengths, type Match, type RowVerdicts } from '../../src/compare/ranking.js';

const ANNOTATORS = 4;
const PAIRS = Array.from({ length: ANNOTATORS }, (_, one) =>
  Array.from({ length: ANNOTATORS - one - 1 }, (_, more) => ({ one, other: one + 1 + more })),
).flat();

const matches: fc.Arbitrary<Match[]> = fc
  .array(fc.tuple(fc.nat(30), fc.nat(10), fc.nat(30)), { minLength: PAIRS.length, maxLength: PAIRS.length })
  .map((counts) =>
    PAIRS.map((pair, place) => {
      const [wins = 0, ties = 0, losses = 0] = counts[place] ?? [];
      return { ...pair, wins, ties, losses };
    }),
  );

/** Wins with a tie as half a win, and the tie that is added to each pair. */
const won = (annotator: number, all: readonly Match[]): number =>
  all.reduce((sum, { one, other, wins, ties, losses }) => {
    if (one !== annotator && other !== annotator) return sum;
    return sum + (one === annotator ? wins : losses) + (ties + 1) / 2;
  }, 0);

describe('the strengths of Bradley and Terry', () => {
  it('are the most likely ones: each annotator wins as often as they say', () => {
    fc.assert(
      fc.property(matches, (all) => {
        const found = strengths(ANNOTATORS, all);
        for (let annotator = 0; annotator < ANNOTATORS; annotator++) {
          const expected = all.reduce((sum, { one, other, wins, ties, losses }) => {
            if (one !== annotator && other !== annotator) return sum;
            const [a = 1, b = 1] = [found[one], found[other]];
            return sum + ((wins + ties + losses + 1) * (found[annotator] ?? 1)) / (a + b);
          }, 0);
          expect(expected).toBeCloseTo(won(annotator, all), 4);
        }
        expect(found.reduce((sum, one) => sum + Math.log(one), 0)).toBeCloseTo(0, 8);
      }),
    );
  });

  it('of two annotators are to each other as their wins', () => {
    fc.assert(
      fc.property(fc.nat(50), fc.nat(50), fc.nat(50), (wins, ties, losses) => {
        const [one = 0, other = 0] = strengths(2, [{ one: 0, other: 1, wins, ties, losses }]);
        expect(one / other).toBeCloseTo((wins + (ties + 1) / 2) / (losses + (ties + 1) / 2), 6);
      }),
    );
  });

  it('do not depend on the order of annotators, nor on who is the first of a pair', () => {
    fc.assert(
      fc.property(matches, fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), (all, order) => {
        const found = strengths(ANNOTATORS, all);
        const renamed = all.map(({ one, other, wins, ties, losses }) => ({
          one: order[other] ?? 0,
          other: order[one] ?? 0,
          ...{ wins: losses, ties, losses: wins },
        }));
        const again = strengths(ANNOTATORS, renamed);
        for (let annotator = 0; annotator < ANNOTATORS; annotator++)
          expect(again[order[annotator] ?? 0]).toBeCloseTo(found[annotator] ?? 0, 5);
      }),
    );
  });

  it('grow with every further win', () => {
    fc.assert(
      fc.property(matches, fc.nat(PAIRS.length - 1), (all, place) => {
        const more = all.map((one, index) => (index === place ? { ...one, wins: one.wins + 1 } : one));
        const winner = PAIRS[place]?.one ?? 0;
        expect(strengths(ANNOTATORS, more)[winner]).toBeGreaterThan(strengths(ANNOTATORS, all)[winner] ?? 0);
      }),
    );
  });
});

describe('ratings', () => {
  const verdict = fc.constantFrom('one' as const, 'other' as const, 'tie' as const, null);
  const rows = fc.array(fc.array(verdict, { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 30 });
  const pairs = PAIRS.filter(({ other }) => other < 3);

  it('have an average of 1000 and intervals that are the same every time', () => {
    fc.assert(
      fc.property(rows, (all: RowVerdicts[]) => {
        const found = ratings(3, pairs, all, 7);
        expect(found.reduce((sum, { rating }) => sum + rating, 0) / 3).toBeCloseTo(1000, 6);
        for (const { interval } of found) expect(interval[0]).toBeLessThanOrEqual(interval[1]);
        expect(ratings(3, pairs, all, 7)).toEqual(found);
      }),
      { numRuns: 5 },
    );
  });

  it('an annotator that wins every row is the first, beyond its interval', () => {
    const all: RowVerdicts[] = Array.from({ length: 40 }, () => ['one', 'one', 'tie']);
    const [best, ...others] = ratings(3, pairs, all);
    for (const { interval } of others) expect(best?.interval[0]).toBeGreaterThan(interval[1]);
  });

  it('verdicts are counted by pair, without undecided ones', () => {
    expect(matchesOf([{ one: 0, other: 1 }], [['one'], ['tie'], [null], ['other'], ['one']])).toEqual([
      { one: 0, other: 1, wins: 2, ties: 1, losses: 1 },
    ]);
  });
});
