import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addUsage, NO_USAGE, readUsage, type Usage } from '../../src/models/usage.js';
import { totalCost, type Rates } from '../../src/models/prices.js';
import type { Job } from '../../src/requests/processor.js';
import { CostBudget } from '../../src/run/budget.js';

const MAX_TOKENS = 100;
const BODY = Buffer.alloc(50);
const PRICE: Rates = { input: 1e-6, cachedInput: 1e-6, cacheWriteInput: 1e-6, output: 1e-5 };

const JOBS: Job[] = [];

/** The job of a row: the budget distinguishes jobs by identity. */
function job(requestIdx: number): Job {
  return (JOBS[requestIdx] ??= { requestIdx, body: BODY, tokens: 0 });
}

/** Asks until the budget refuses, some requests at a time; returns what the server bills and how many it answered. */
function spend(
  maximum: number,
  price: Rates | null,
  atOnce: number,
  answer: (request: number) => { usage: object; bill: number },
): { billed: number; answered: number } {
  let used: Usage = NO_USAGE;
  let billed = 0;
  let next = 0;
  const budget = new CostBudget(
    maximum,
    () => price,
    MAX_TOKENS,
    () => totalCost(used, price)?.amount ?? 0,
  );
  const flying: number[] = [];
  for (;;) {
    // As the processor does, the first request goes alone.
    while (flying.length < (next <= 1 ? 1 : atOnce) && budget.reserve(job(next))) flying.push(next++);
    const landed = flying.shift();
    if (landed === undefined || landed > 500) return { billed, answered: landed ?? next };
    const { usage, bill } = answer(landed);
    billed += bill;
    const read = readUsage(usage) ?? NO_USAGE;
    used = addUsage(used, read);
    budget.observe(read);
    budget.settle(job(landed));
  }
}

describe('a sum of money', () => {
  it('holds if reasoning is billed beyond max_tokens', () => {
    const hidden = 2000;
    const { billed, answered } = spend(1, PRICE, 64, () => ({
      usage: { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 + hidden },
      bill: 10e-6 + (20 + hidden) * 1e-5,
    }));
    expect(billed).toBeLessThanOrEqual(1);
    expect(answered).toBeGreaterThan(40);
  });

  it('holds if answers state more than the table’s price', () => {
    const { billed, answered } = spend(1, PRICE, 64, () => ({
      usage: { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30, cost: 0.005 },
      bill: 0.005,
    }));
    expect(billed).toBeLessThanOrEqual(1);
    expect(answered).toBeGreaterThan(100);
  });

  it('holds without a price if answers state their cost', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(MAX_TOKENS - 1), { minLength: 5, maxLength: 20 }),
        fc.integer({ min: 1, max: 64 }),
        (lengths, atOnce) => {
          const { billed, answered } = spend(0.1, null, atOnce, (request) => {
            const completion = (lengths[request % lengths.length] ?? 0) + 1;
            const cost = 10 * 2e-6 + completion * 1e-5;
            return {
              usage: {
                prompt_tokens: 10,
                completion_tokens: completion,
                total_tokens: 10 + completion,
                cost,
              },
              bill: cost,
            };
          });
          expect(billed).toBeLessThanOrEqual(0.1);
          expect(answered).toBeGreaterThan(0);
        },
      ),
    );
  });

  it('does not hold back models that cost nothing', () => {
    const usage = { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30, cost: 0 };
    expect(spend(0.01, null, 8, () => ({ usage, bill: 0 })).answered).toBeGreaterThan(500);
  });

  it('lets one request go alone until its answer tells what it costs', () => {
    const budget = new CostBudget(
      1,
      () => null,
      MAX_TOKENS,
      () => 0,
    );
    expect(budget.reserve(job(0))).toBe(true);
    expect(budget.reserve(job(1))).toBe(false);
    expect(
      new CostBudget(
        0,
        () => null,
        MAX_TOKENS,
        () => 0,
      ).reserve(job(0)),
    ).toBe(false);
  });
});
