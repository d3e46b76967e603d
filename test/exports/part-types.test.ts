import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SeenTypes } from '../../src/exports/leading-rows.js';
import { leadAcrossParts } from '../../src/exports/part-types.js';
import { temporaryFolder } from '../support/cli.js';

const CALL = { id: 'c1', function: { name: 'f' } };
const value = fc.constantFrom(
  null,
  '',
  'x',
  1,
  1.5,
  true,
  [],
  ['x'],
  [CALL],
  [{ id: null }],
  { a: 1 },
  { b: [null] },
);
const part = fc.array(fc.record({ calls: value, source: value }), { maxLength: 4 });

function linesIn(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').slice(0, -1);
}

it('gives the first part every type of the others, and loses no row', async () => {
  const folder = temporaryFolder();
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 4 }), async (parts) => {
      run += 1;
      const paths = parts.map((rows, place) => {
        const path = join(folder, `${run}-${place}.jsonl`);
        writeFileSync(
          path,
          rows.map((row, number) => `${JSON.stringify({ ...row, place, number })}\n`).join(''),
        );
        return path;
      });
      const before = paths.map(linesIn);
      const taken = await leadAcrossParts(paths, null);
      const after = paths.map(linesIn);
      expect(after.flat().toSorted()).toEqual(before.flat().toSorted());
      // Rows that stay are in their order.
      for (const [place, lines] of after.entries()) {
        const own = lines.slice(place === 0 ? taken.reduce((sum, rows) => sum + rows, 0) : 0);
        expect(before[place]?.filter((line) => own.includes(line))).toEqual(own);
        if (place > 0) expect(own).toHaveLength((before[place]?.length ?? 0) - (taken[place] ?? 0));
      }
      const seen = new SeenTypes();
      for (const line of after[0] ?? []) seen.learn(JSON.parse(line));
      for (const line of after.slice(1).flat()) expect(seen.learn(JSON.parse(line)), line).toBe(false);
    }),
    { numRuns: 60 },
  );
});

it('leaves parts alone that show nothing new', async () => {
  const folder = temporaryFolder();
  const paths = ['a', 'b'].map((name) => join(folder, name));
  for (const path of paths) writeFileSync(path, '{"annotation":"x","tools":""}\n');
  expect(await leadAcrossParts(paths, null)).toEqual([0, 0]);
  expect(await leadAcrossParts([], null)).toEqual([]);
});
