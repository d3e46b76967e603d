import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openLocal } from '../../src/datasets/index.js';
import { RowPlaces } from '../../src/datasets/row-places.js';
import type { OpenDataset, SourceRow } from '../../src/types.js';
import { temporaryFolder } from '../support/cli.js';

describe('places of rows', () => {
  it('are few however many rows there are, and never behind the row that is wanted', () => {
    const places = new RowPlaces();
    const rows = 100_000;
    for (let row = 0; row < rows; row++) places.note(row, { number: row + 1, offset: row * 10 });
    for (const row of [0, 1, 31, 32, 33, 4096, 50_001, rows - 1]) {
      const place = places.before(row);
      expect(place).toMatchObject({ number: (place?.row ?? 0) + 1, offset: (place?.row ?? 0) * 10 });
      expect(row - (place?.row ?? NaN)).toBeGreaterThanOrEqual(0);
      expect(row - (place?.row ?? NaN)).toBeLessThan(64);
    }
    expect(places.before(10 * rows)?.row).toBeGreaterThan(rows - 65);
    expect(new RowPlaces().before(0)).toBeNull();
  });
});

function open(path: string, encoding?: string): Promise<OpenDataset> {
  return openLocal({
    dataset: path,
    subset: null,
    split: null,
    ...(encoding === undefined ? {} : { encoding }),
  });
}

async function slice(dataset: OpenDataset, offset: number, limit: number | null): Promise<SourceRow[]> {
  const rows: SourceRow[] = [];
  for await (const row of dataset.rows({ columns: ['prompt'], offset, limit })) rows.push(row);
  return rows;
}

/** A row of a file, which may be long, or a line that is none. */
const LINE = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.string({ unit: 'grapheme', maxLength: 20 }).map((prompt) => JSON.stringify({ prompt })),
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 1, max: 300_000 })
      .map((size) => JSON.stringify({ prompt: 'ü'.repeat(size) })),
  },
  { weight: 1, arbitrary: fc.constantFrom('', '  ', '{"prompt":') },
);

describe('--offset in JSON Lines', () => {
  it('gives the rows that reading from the start gives, with their numbers and lines', async () => {
    const file = fc.record({
      lines: fc.array(LINE, { minLength: 1, maxLength: 60 }),
      end: fc.constantFrom('\n', '\r\n'),
      mark: fc.constantFrom('', '\ufeff'),
      isCut: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        file,
        fc.nat(70),
        fc.option(fc.nat(20)),
        async ({ lines, end, mark, isCut }, offset, limit) => {
          const path = join(temporaryFolder(), 'data.jsonl');
          writeFileSync(path, `${mark}{"prompt":"first"}${end}${lines.join(end)}${isCut ? '' : end}`);
          const dataset = await open(path);
          const all = await slice(dataset, 0, null);
          expect(all).toHaveLength(dataset.totalRows ?? NaN);
          expect(await slice(dataset, offset, limit)).toEqual(
            all.slice(offset, limit === null ? undefined : offset + limit),
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  it('reads other encodings from their start', async () => {
    const path = join(temporaryFolder(), 'data.jsonl');
    const text = Array.from({ length: 50 }, (_, row) => `{"prompt":"caf\u00e9 ${row}"}\n`).join('');
    writeFileSync(path, Buffer.from(text, 'latin1'));
    const dataset = await open(path, 'latin1');
    expect(await slice(dataset, 48, null)).toMatchObject([
      { index: 48, value: { prompt: 'café 48' } },
      { index: 49, value: { prompt: 'café 49' } },
    ]);
  });

  it('refuses a file whose lines moved since it was opened', async () => {
    const path = join(temporaryFolder(), 'data.jsonl');
    const row = (number: number): string => `{"prompt":"row ${number}"}\n`;
    const text = Array.from({ length: 20 }, (_, number) => row(number)).join('');
    writeFileSync(path, text);
    const dataset = await open(path);
    appendFileSync(path, row(20));
    expect(await slice(dataset, 19, 1)).toMatchObject([{ index: 19, value: { prompt: 'row 19' } }]);
    writeFileSync(path, `{"prompt":"one that is longer"}\n${text}`);
    await expect(slice(dataset, 19, 1)).rejects.toThrow('changed while it was being read');
  });
});
