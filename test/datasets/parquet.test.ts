import { parquetMetadata, type FileMetaData } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { ParquetFile } from '../../src/datasets/parquet.js';
import { exactValue, PARSERS } from '../../src/datasets/parquet-values.js';

type Columns = Parameters<typeof parquetWriteBuffer>[0]['columnData'];

async function open(columnData: Columns): Promise<ParquetFile> {
  return ParquetFile.open(parquetWriteBuffer({ columnData }), 'data.parquet');
}

async function read(file: ParquetFile): Promise<unknown[]> {
  const rows: unknown[] = [];
  for await (const row of file.read(file.columns, 0, file.rows)) rows.push(row);
  return rows;
}

describe('Parquet', () => {
  it('reads no row groups outside the requested rows', async () => {
    const buffer = parquetWriteBuffer({
      columnData: [{ name: 'q', data: Array.from({ length: 4000 }, (_, row) => `${row} ${Math.sin(row)}`) }],
      rowGroupSize: 1000,
    });
    const ranges: [number, number][] = [];
    const slice = (start: number, end?: number): ArrayBuffer => {
      ranges.push([start, end ?? buffer.byteLength]);
      return buffer.slice(start, end);
    };
    const file = await ParquetFile.open({ byteLength: buffer.byteLength, slice }, 'data.parquet');
    const starts = parquetMetadata(buffer).row_groups.map(({ columns }) =>
      Number(columns[0]?.meta_data?.data_page_offset),
    );
    ranges.length = 0;
    const rows: unknown[] = [];
    for await (const row of file.read(['q'], 2990, 2993)) rows.push(row);
    expect(rows).toHaveLength(3);
    expect(Math.min(...ranges.map(([start]) => start))).toBeGreaterThanOrEqual((starts[2] ?? NaN) - 100);
    expect(Math.max(...ranges.map(([, end]) => end))).toBeLessThanOrEqual((starts[3] ?? NaN) + 100);
  });

  it('whose footer says that the dictionary is at 0 has none', async () => {
    const file = await open([{ name: 'q', data: ['a', 'b'], type: 'STRING' }]);
    const { metadata } = (file as unknown as { open: { metadata: FileMetaData } }).open;
    for (const { columns } of metadata.row_groups)
      for (const { meta_data: column } of columns)
        if (column !== undefined) column.dictionary_page_offset = 0n;
    expect(await read(file)).toEqual([{ q: 'a' }, { q: 'b' }]);
  });

  it('keeps the text of large integers and a cell’s own U+FEFF', async () => {
    const file = await open([
      { name: 'i', data: [2n ** 60n + 1n, 7n], type: 'INT64' },
      { name: 'q', data: ['\ufeffa', 'b'], type: 'STRING' },
    ]);
    expect(await read(file)).toEqual([
      { i: '1152921504606846977', q: '\ufeffa' },
      { i: 7, q: 'b' },
    ]);
  });

  it('names columns that hold binary data', async () => {
    const bytes = [Uint8Array.of(0xff, 0xd8), Uint8Array.of(0x61)];
    const file = await open([{ name: 'picture', data: bytes, type: 'BYTE_ARRAY' }]);
    await expect(read(file)).rejects.toThrow(/"picture" holds binary data, not text/);
    const text = await open([{ name: 'q', data: [Uint8Array.of(0x61)], type: 'BYTE_ARRAY' }]);
    expect(await read(text)).toEqual([{ q: 'a' }]);
  });

  it('is reported as encrypted if it is', async () => {
    const end = new TextEncoder().encode('PAREandsoonPARE');
    await expect(ParquetFile.open(end.buffer, 'secret.parquet')).rejects.toThrow(
      /secret\.parquet .*encrypted/,
    );
    const file = await open([{ name: 'q', data: ['a'], type: 'STRING' }]);
    const { metadata } = (file as unknown as { open: { metadata: FileMetaData } }).open;
    Object.assign(metadata.row_groups[0]?.columns[0] ?? {}, { crypto_metadata: {} });
    await expect(read(file)).rejects.toThrow(/its column "q" is encrypted/);
  });

  it.each<[unknown, number, string]>([
    [12345678901234567890n, 2, '123456789012345678.90'],
    [-5, 2, '-0.05'],
    [Uint8Array.of(0xff, 0xfb), 2, '-0.05'],
    [Uint8Array.of(0x01, 0x00), 0, '256'],
  ])('writes the decimal %s with scale %i as %s', (raw, scale, text) => {
    expect(exactValue({ name: 'd', converted_type: 'DECIMAL', scale })?.(raw)).toBe(text);
  });

  it('writes times and 32-bit numbers as they are', () => {
    expect(PARSERS.timestampFromMicroseconds?.(1_700_000_000_123_456n)).toBe('2023-11-14T22:13:20.123456Z');
    expect(PARSERS.timestampFromMicroseconds?.(-1n)).toBe('1969-12-31T23:59:59.999999Z');
    expect(PARSERS.timestampFromNanoseconds?.(5_000_000n)).toBe('1970-01-01T00:00:00.005Z');
    expect(PARSERS.dateFromDays?.(1)).toBe('1970-01-02');
    expect(exactValue({ name: 'f', type: 'FLOAT' })?.(Math.fround(0.1))).toBe(0.1);
  });
});
