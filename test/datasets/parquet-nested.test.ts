import { parquetMetadata, type SchemaElement } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ParquetFile } from '../../src/datasets/parquet.js';
import { checkChunk } from '../../src/datasets/parquet-limits.js';
import { ExcessiveRow, NO_LIMITS } from '../../src/datasets/row-limits.js';

type Repetition = NonNullable<SchemaElement['repetition_type']>;
/** A type of column: its description, and values that have it. */
interface Shape {
  elements: SchemaElement[];
  values: fc.Arbitrary<unknown>;
}

const TEXT = fc.constantFrom('', 'a', 'bc', 'é'.repeat(20));

function text(name: string, repetition: Repetition = 'OPTIONAL'): Shape {
  const element = { name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: repetition } as const;
  return { elements: [element], values: repetition === 'OPTIONAL' ? fc.option(TEXT) : TEXT };
}

function list(name: string, item: Shape, repetition: Repetition = 'OPTIONAL'): Shape {
  const elements: SchemaElement[] = [
    { name, repetition_type: repetition, converted_type: 'LIST', num_children: 1 },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    ...item.elements,
  ];
  const values = fc.array(item.values, { maxLength: 5 });
  return { elements, values: repetition === 'OPTIONAL' ? fc.option(values) : values };
}

function struct(name: string, fields: Shape[], repetition: Repetition = 'OPTIONAL'): Shape {
  const elements = [
    { name, repetition_type: repetition, num_children: fields.length },
    ...fields.flatMap((field) => field.elements),
  ];
  const names = fields.map((field) => field.elements[0]?.name ?? '');
  const values = fc
    .tuple(...fields.map((field) => field.values))
    .map((cells) => Object.fromEntries(names.map((one, index) => [one, cells[index]])));
  return { elements, values: repetition === 'OPTIONAL' ? fc.option(values) : values };
}

const turn = struct('element', [text('role', 'REQUIRED'), text('content')]);
const SHAPES: Record<string, Shape> = {
  texts: list('c', text('element')),
  'texts that are all there': list('c', text('element', 'REQUIRED'), 'REQUIRED'),
  turns: list('c', turn),
  'turns with lists': list('c', struct('element', [text('role'), list('parts', text('element'))])),
  'lists of lists': list('c', list('element', text('element'))),
  'a struct': struct('c', [text('a'), list('b', text('element'))]),
  'a struct of required fields': struct('c', [text('a', 'REQUIRED'), text('b', 'REQUIRED')], 'REQUIRED'),
};

interface Written {
  pageSize?: number;
  rowGroupSize?: number;
}

function written({ elements }: Shape, data: unknown[], options: Written = {}): ArrayBuffer {
  const schema: SchemaElement[] = [
    { name: 'root', num_children: 2 },
    { name: 'q', type: 'INT32', repetition_type: 'REQUIRED' },
    ...elements,
  ];
  const columnData = [
    { name: 'q', data: data.map((_, row) => row) },
    { name: 'c', data },
  ];
  return parquetWriteBuffer({ columnData, schema, ...options });
}

async function rowsOf(buffer: ArrayBuffer, from = 0, to = Infinity): Promise<unknown[]> {
  const file = await ParquetFile.open(buffer, 'data.parquet');
  const rows: unknown[] = [];
  for await (const row of file.read(['q', 'c'], from, Math.min(to, file.rows))) rows.push(row);
  return rows;
}

describe('nested columns of Parquet', () => {
  it.each(Object.entries(SHAPES))('are read as they were written: %s', async (_, shape) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(shape.values, { minLength: 1, maxLength: 40 }),
        fc.record({
          pageSize: fc.constantFrom(8, 40, 1 << 20),
          rowGroupSize: fc.integer({ min: 1, max: 40 }),
        }),
        fc.nat(40),
        fc.nat(40),
        async (data, options, from, more) => {
          const expected = data.map((c, q) => ({ q, c })).slice(from, from + more);
          expect(await rowsOf(written(shape, data, options), from, from + more)).toEqual(expected);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('are read in stretches where a page has many values', async () => {
    const number: SchemaElement = { name: 'element', type: 'INT32', repetition_type: 'OPTIONAL' };
    const shape = list('c', { elements: [number], values: fc.integer() });
    const values = Array.from({ length: 270_000 }, (_, place) => (place % 7 === 0 ? null : place));
    const data = [[1], values, [null, 2], null, []];
    const [first, long, ...others] = await rowsOf(written(shape, data, { pageSize: 1 << 24 }));
    expect([first, ...others]).toEqual([
      { q: 0, c: [1] },
      { q: 2, c: [null, 2] },
      { q: 3, c: null },
      { q: 4, c: [] },
    ]);
    const { c: read } = long as { c: unknown[] };
    expect(read.length).toBe(values.length);
    expect(read.every((value, place) => value === values[place])).toBe(true);
  });

  it('fail a row alone that holds too many values or bytes, and name the column', async () => {
    const many = Array.from({ length: 510_000 }, () => 'a');
    const large = Array.from({ length: 25 }, () => 'b'.repeat(1 << 20));
    const buffer = written(list('c', text('element')), [['x'], many, ['y'], large, ['z']]);
    expect(await rowsOf(buffer)).toEqual([
      { q: 0, c: ['x'] },
      new ExcessiveRow('holds more than 500,000 values (in column "c")'),
      { q: 2, c: ['y'] },
      new ExcessiveRow('is longer than 24 MB (in column "c")'),
      { q: 4, c: ['z'] },
    ]);
    const own = await ParquetFile.open(buffer, 'own.parquet', { limits: NO_LIMITS });
    const lengths: number[] = [];
    for await (const row of own.read(['c'], 0, 5))
      lengths.push(row instanceof ExcessiveRow ? -1 : (row['c'] as unknown[]).length);
    expect(lengths).toEqual([1, 510_000, 1, 25, 1]);
  });

  it('that end too early are damaged', async () => {
    const buffer = written(list('c', text('element')), [['x'], ['y']]);
    const file = await ParquetFile.open(buffer, 'data.parquet');
    const metadata = parquetMetadata(buffer);
    expect(metadata.row_groups).toHaveLength(1);
    const reading = file.read(['c'], 0, 2);
    const { metadata: own } = (file as unknown as { open: { metadata: typeof metadata } }).open;
    const group = own.row_groups[0];
    if (group !== undefined) group.num_rows = 5n;
    const rows = async (): Promise<void> => {
      for await (const row of file.read(['c'], 0, 5)) expect(row).toBeDefined();
    };
    await expect(rows()).rejects.toThrow(/row group 1, column "c": it ends too early/);
    await reading.return(undefined);
  });

  it('are not read where they claim more than their bytes can hold', () => {
    const chunk = {
      num_values: 10_000_000n,
      total_compressed_size: 100n,
      total_uncompressed_size: 80_000_000n,
    };
    expect(() => {
      checkChunk(chunk);
    }).not.toThrow();
    expect(() => {
      checkChunk({ ...chunk, num_values: 17_000_000n });
    }).toThrow('100 bytes claim to hold 17000000 values');
    expect(() => {
      checkChunk({ ...chunk, total_uncompressed_size: 300_000_000n });
    }).toThrow('100 bytes claim to unpack to 300000000 bytes');
  });
});
