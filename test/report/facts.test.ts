import { describe, expect, it } from 'vitest';
import { figuresOf } from '../../src/report/facts.js';

describe('the share of answers that agree with the original', () => {
  it.each([
    [{ agree: 6, disagree: 2, unknown: 4 }, ['75 % of 8']],
    [{ agree: 0, disagree: 1200, unknown: 0 }, ['0 % of 1,200']],
    [{ agree: 0, disagree: 0, unknown: 9 }, []],
    [{ agree: '6', disagree: 2 }, []],
    [null, []],
    [undefined, []],
  ])('%j', (agreement, expected) => {
    const shares = figuresOf({ agreement }).filter(([name]) => name === 'Same final answer');
    expect(shares.map(([, value]) => value)).toEqual(expected);
  });
});
