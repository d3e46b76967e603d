import { expect, it } from 'vitest';
import { timeIn } from '../../../src/batches/apis/fields.js';

const NOON = 1_784_116_800;

it.each([
  ['seconds', NOON, NOON],
  ['milliseconds', NOON * 1000, NOON],
  ['a text', '2026-07-15T12:00:00Z', NOON],
  ['a text with fractions', '2026-07-15T12:00:00.123456Z', NOON],
  ['a text with another zone', '2026-07-15T14:00:00+02:00', NOON],
  ['a text without a zone, which could be any hour', '2026-07-15T12:00:00', null],
  ['a bare date', '2026-07-15', null],
  ['a number as text', String(NOON), null],
  ['zero', 0, null],
  ['a negative number', -1, null],
  ['nothing', undefined, null],
  ['null', null, null],
])('reads the time of a file that is given as %s', (_, given, expected) => {
  expect(timeIn({ created_at: given }, 'created_at')).toBe(expected);
});
