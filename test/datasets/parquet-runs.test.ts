import type { PageHeader } from 'hyparquet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isReadInRuns, LongPage } from '../../src/datasets/parquet-runs.js';

/** A piece of Parquet's hybrid encoding: one number so often, or numbers in groups of eight. */
type Piece = { value: number; repeats: number } | { packed: number[] };

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

function encode(pieces: readonly Piece[], width: number): number[] {
  return pieces.flatMap((piece) => {
    if ('value' in piece) {
      const bytes = Array.from(
        { length: Math.ceil(width / 8) },
        (_, byte) => (piece.value >>> (8 * byte)) & 0xff,
      );
      return [...varint(piece.repeats * 2), ...bytes];
    }
    const bits = piece.packed.flatMap((value) =>
      Array.from({ length: width }, (_, bit) => (value >>> bit) & 1),
    );
    const bytes = Array.from({ length: bits.length / 8 }, (_, byte) =>
      bits.slice(8 * byte, 8 * byte + 8).reduce((sum, bit, place) => sum + (bit << place), 0),
    );
    return [...varint((piece.packed.length / 8) * 2 + 1), ...bytes];
  });
}

function decode(pieces: readonly Piece[]): number[] {
  return pieces.flatMap((piece) =>
    'value' in piece ? Array.from({ length: piece.repeats }, () => piece.value) : piece.packed,
  );
}

function pieces(width: number, most = 2 ** width - 1): fc.Arbitrary<Piece[]> {
  const value = fc.integer({ min: 0, max: most });
  const packed = fc
    .integer({ min: 1, max: 3 })
    .chain((groups) => fc.array(value, { minLength: 8 * groups, maxLength: 8 * groups }));
  const run = fc.record({ value, repeats: fc.integer({ min: 1, max: 300 }) });
  return fc.array(fc.oneof(run, fc.record({ packed })), { minLength: 1, maxLength: 6 });
}

const LENGTH_BYTES = 4;

function header(version: 1 | 2, encoding: string, values: number, levels: number): PageHeader {
  const page =
    version === 1
      ? { type: 'DATA_PAGE', data_page_header: { num_values: values, encoding } }
      : {
          type: 'DATA_PAGE_V2',
          data_page_header_v2: {
            num_values: values,
            encoding,
            repetition_levels_byte_length: 0,
            definition_levels_byte_length: levels,
            is_compressed: false,
          },
        };
  return { ...page, uncompressed_page_size: 0, compressed_page_size: 0 } as unknown as PageHeader;
}

function values(
  version: 1 | 2,
  encoding: string,
  levels: number[] | null,
  content: number[],
  count: number,
): unknown[] {
  const levelBytes = levels ?? [];
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(levelBytes.length);
  const prefix = version === 1 && levels !== null ? [...length] : [];
  const page = new LongPage({
    header: header(version, encoding, count, levelBytes.length),
    bytes: Uint8Array.from([...prefix, ...levelBytes, ...content]),
    highestRepetition: 0,
    highestDefinition: levels === null ? 0 : 1,
    dictionary: Array.from({ length: 32 }, (_, index) => `text ${index}`),
    decompress: (bytes) => bytes,
    plainReader: (bytes) => {
      let at = 0;
      return (wanted) => Array.from(bytes.subarray(at, (at += wanted)), (byte) => `byte ${byte}`);
    },
  });
  return Array.from({ length: page.length }, () => page.next());
}

describe('a page that is read one value after the other', () => {
  it.each([1, 2] as const)('has the values of its runs and nulls, in version %i', (version) => {
    fc.assert(
      fc.property(pieces(1), pieces(5), (levels, indexes) => {
        const present = decode(levels);
        const found = decode(indexes);
        const needed = present.filter((one) => one === 1).length;
        const padded: Piece[] = [...indexes, { value: 7, repeats: needed + 1 }];
        const rest = Array.from({ length: needed }, () => 7);
        const all = [...found, ...rest].map((index) => `text ${index}`);
        let next = 0;
        const expected = present.map((one) => (one === 1 ? all[next++] : null));
        const content = [5, ...encode(padded, 5)];
        expect(values(version, 'RLE_DICTIONARY', encode(levels, 1), content, present.length)).toEqual(
          expected,
        );
        const plain = Array.from({ length: needed }, (_, index) => index % 256);
        next = 0;
        const written = present.map((one) => (one === 1 ? `byte ${next++ % 256}` : null));
        expect(values(version, 'PLAIN', encode(levels, 1), plain, present.length)).toEqual(written);
      }),
    );
  });

  it('has numbers of any width', () => {
    const widths = fc.integer({ min: 1, max: 30 });
    fc.assert(
      fc.property(
        widths.chain((width) => fc.tuple(fc.constant(width), pieces(width))),
        ([width, indexes]) => {
          const expected = decode(indexes);
          const page = new LongPage({
            header: header(1, 'RLE_DICTIONARY', expected.length, 0),
            bytes: Uint8Array.from([width, ...encode(indexes, width)]),
            highestRepetition: 0,
            highestDefinition: 0,
            // Every index is its own value.
            dictionary: new Proxy([], { get: (_, index) => Number(index) }),
            decompress: (bytes) => bytes,
            plainReader: () => () => [],
          });
          expect(expected.map(() => page.next())).toEqual(expected);
        },
      ),
    );
  });

  it('may have no nulls, and an only value that takes no bits', () => {
    expect(values(1, 'RLE_DICTIONARY', null, [0], 3)).toEqual(['text 0', 'text 0', 'text 0']);
  });

  it('reports where it holds less than it claims', () => {
    expect(() => values(1, 'RLE_DICTIONARY', null, [5, ...encode([{ value: 1, repeats: 2 }], 5)], 3)).toThrow(
      'a page ends too early',
    );
    expect(() => values(2, 'PLAIN', encode([{ value: 1, repeats: 300 }], 1), [1, 2], 300)).toThrow(
      '2 bytes claim to hold 300 values',
    );
  });

  it('is one of texts whose encoding is known', () => {
    expect(isReadInRuns(header(1, 'RLE_DICTIONARY', 1, 0), false)).toBe(true);
    expect(isReadInRuns(header(2, 'PLAIN', 1, 0), false)).toBe(true);
    expect(isReadInRuns(header(1, 'DELTA_BINARY_PACKED', 1, 0), false)).toBe(false);
    expect(isReadInRuns(header(1, 'PLAIN', 1, 0), true)).toBe(false);
  });
});
