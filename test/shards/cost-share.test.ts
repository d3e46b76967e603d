import fc from 'fast-check';
import { expect, it } from 'vitest';
import { costShare, type ShardCost } from '../../src/shards/cost-share.js';

it('parts of --max_cost never add up to more than it, in any order of shards', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });
  const steps = fc.array(fc.record({ pick: fc.nat(100), used: fc.double({ min: 0, max: 1, noNaN: true }) }), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(sizes, steps, (rows, events) => {
      const shards: ShardCost[] = rows.map((one) => ({ rows: one, state: null }));
      const parts = new Map<number, number>();
      for (const { pick, used } of events) {
        const shard = pick % shards.length;
        const one = shards[shard];
        if (one === undefined || one.state?.phase === 'done') continue;
        const part = parts.get(shard);
        if (part === undefined) parts.set(shard, costShare(10, shards, shard));
        else one.state = { phase: 'done', cost_usd: part * used };
        const spent = shards.map(({ state }, index) =>
          state === null ? (parts.get(index) ?? 0) : (state.cost_usd ?? 0),
        );
        expect(spent.reduce((sum, cost) => sum + cost, 0)).toBeLessThanOrEqual(10 * (1 + 1e-9));
      }
    }),
  );
});

it('what a shard did not need goes to those that begin later', () => {
  const shards: ShardCost[] = [10, 10, 20].map((rows) => ({ rows, state: null }));
  expect(costShare(8, shards, 0)).toBe(2);
  shards[0] = { rows: 10, state: { phase: 'done', cost_usd: 0.5 } };
  expect(costShare(8, shards, 2)).toBe(5);
});
