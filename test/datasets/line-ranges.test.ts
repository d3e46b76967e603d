import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutLines, readLineRange, type LineRange } from '../../src/datasets/line-ranges.js';
import { openLocalJsonl } from '../../src/datasets/local-jsonl.js';
import type { SourceRow } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';

const COLUMNS = ['a'];

async function all(rows: AsyncIterable<SourceRow>): Promise<SourceRow[]> {
  const read: SourceRow[] = [];
  for await (const row of rows) read.push(row);
  return read;
}

async function readRanges(
  path: string,
  ranges: readonly LineRange[],
  sizes: readonly number[],
  offset: number,
): Promise<SourceRow[]> {
  const read: SourceRow[] = [];
  let firstRow = offset;
  for (const [index, range] of ranges.entries()) {
    const rows = sizes[index] ?? 0;
    read.push(...(await all(readLineRange({ path, range, firstRow, rows, columns: COLUMNS }))));
    firstRow += rows;
  }
  return read;
}

describe('ranges of lines', () => {
  it('give the same rows as the whole file, for any lines', async () => {
    const path = join(temporaryFolder(), 'data.jsonl');
    const row = fc.oneof(
      { weight: 5, arbitrary: fc.string({ unit: 'grapheme' }).map((a) => JSON.stringify({ a })) },
      fc.constantFrom('not json', '[1]', '{"a":1.50}'),
    );
    const blank = fc.constantFrom('', ' ', '\t ');
    const line = fc.oneof({ weight: 4, arbitrary: row }, { weight: 1, arbitrary: blank });
    const shape = fc.record({
      lines: fc.array(line, { minLength: 1, maxLength: 30 }),
      end: fc.constantFrom('\n', '\r\n'),
      mark: fc.boolean(),
      isEnded: fc.boolean(),
      cuts: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 10 }),
      offset: fc.nat(5),
    });
    await fc.assert(
      fc.asyncProperty(shape, async ({ lines, end, mark, isEnded, cuts, offset }) => {
        const first = JSON.stringify({ a: 'first' });
        const text = [first, ...lines].join(end) + (isEnded ? end : '');
        writeFileSync(path, `${mark ? '\ufeff' : ''}${text}`);
        const whole = await openLocalJsonl({
          file: { path, shown: path, encoding: 'utf-8' },
          split: null,
          signal: undefined,
        });
        const expected = await all(whole.rows({ columns: COLUMNS, offset, limit: null }));
        const sizes: number[] = [];
        for (let left = expected.length; left > 0; left -= sizes.at(-1) ?? left)
          sizes.push(Math.min(left, cuts[sizes.length % cuts.length] ?? 1));
        const ranges = await cutLines(path, offset, sizes);
        expect(await readRanges(path, ranges, sizes, offset)).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('hold a line that is too long for a row', async () => {
    const sizes = [1, 2, 2];
    const path = join(temporaryFolder(), 'data.jsonl');
    const long = `{"a":"${'x'.repeat(25 << 20)}"}`;
    const lines = ['{"a":"1"}', long, '', '{"a":"3"}', '{"a":"4"}', '{"a":"5"}'];
    writeFileSync(path, lines.join('\n'));
    const read = await readRanges(path, await cutLines(path, 0, sizes), sizes, 0);
    expect(read.map((row) => ('value' in row ? row.value['a'] : 'a problem'))).toEqual([
      '1',
      'a problem',
      '3',
      '4',
      '5',
    ]);
  });

  it('are refused where a byte of theirs has changed, and only then', async () => {
    const path = join(temporaryFolder(), 'data.jsonl');
    const lines = Array.from({ length: 9 }, (_, a) => JSON.stringify({ a: `row ${a}` }));
    writeFileSync(path, `${lines.join('\n')}\n`);
    const sizes = [3, 3, 3];
    const ranges = await cutLines(path, 0, sizes);
    writeFileSync(path, readFileSync(path, 'utf8').replace('row 4', 'ROW 4'));
    const outcomes = await Promise.allSettled(
      ranges.map((range, index) => readRanges(path, [range], [3], index * 3)),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(String((outcomes[1] as PromiseRejectedResult).reason)).toMatch(
      /rows 3 to 5.*Restore the earlier file/,
    );
    writeFileSync(path, lines.slice(0, 5).join('\n'));
    await expect(readRanges(path, ranges.slice(2), [3], 6)).rejects.toThrow(
      'has changed since it was planned',
    );
  });

  it('cannot be more rows than a file has', async () => {
    const path = join(temporaryFolder(), 'data.jsonl');
    writeFileSync(path, '{"a":1}\n{"a":2}\n');
    await expect(cutLines(path, 0, [2, 1])).rejects.toThrow('changed while it was being read');
  });
});
