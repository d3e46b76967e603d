import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EarlyTypes } from '../../src/exports/early-types.js';
import type { ResultRow } from '../../src/exports/rows.js';

const plain = (row: number, size: number): ResultRow => ({
  ...{ system_prompt: '', user_prompt: `${row} ${'x'.repeat(size)}` },
  ...{ annotation_original: null, request_messages: null, annotation: null },
});

function written(rows: readonly ResultRow[]): ResultRow[] {
  const early = new EarlyTypes();
  const lines = rows.flatMap((row) => [...early.add(Buffer.from(JSON.stringify(row)), () => row)]);
  return [...lines, ...early.end(), ...early.end()].map((line) => JSON.parse(line.toString()) as ResultRow);
}

it('the first of many rows has a value for each column that none has in time', () => {
  const late: ResultRow = { ...plain(9, 1), annotation: 'A', annotation_original: 'B' };
  const [first, ...others] = written([...Array.from({ length: 60 }, (_, row) => plain(row, 100_000)), late]);
  expect(first).toMatchObject({ annotation: '', annotation_original: '' });
  expect(first?.request_messages).toEqual([{ role: 'user', content: first?.user_prompt }]);
  expect(others).toHaveLength(60);
  expect(others[0]).toMatchObject({ annotation: null, request_messages: null });
  expect(others.at(-1)).toEqual(late);
});

it('all rows are written once and in order, and short files as they are', () => {
  const row = fc.record({ size: fc.constantFrom(1, 100, 1_500_000), annotation: fc.option(fc.string()) });
  fc.assert(
    fc.property(fc.array(row, { maxLength: 8 }), (made) => {
      const rows = made.map(({ size, annotation }, index) => ({ ...plain(index, size), annotation }));
      const found = written(rows);
      expect(found.slice(1)).toEqual(rows.slice(1));
      expect(found[0]?.user_prompt).toBe(rows[0]?.user_prompt);
      if (made.every(({ size }) => size < 1000)) expect(found).toEqual(rows);
    }),
    { numRuns: 30 },
  );
});
