import { expect, it } from 'vitest';
import { count } from '../../src/lib/text.js';

it.each([
  [0, '0'],
  [7, '7'],
  [999, '999'],
  [1000, '1,000'],
  [-12_345, '-12,345'],
  [1_234_567, '1,234,567'],
  [Number.MAX_SAFE_INTEGER, '9,007,199,254,740,991'],
  [12.5, '12.5'],
  [1e21, '1,000,000,000,000,000,000,000'],
])('%d is written as %s', (value, text) => {
  expect(count(value)).toBe(text);
});
