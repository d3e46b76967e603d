/**
 * Pages with millions of values in a few bytes. They are legal: pyarrow before version 12 wrote row groups of 64 Mi rows, and
 * a column with one value, or none, is a single run in a single page. hyparquet makes arrays of all values; here they are
 * read one after the other, in memory that does not depend on their number.
 */

import type { PageHeader } from 'hyparquet';

/** What a page's values come from, as far as its header and the column say. */
export interface LongPageParts {
  header: PageHeader;
  /** The page as it is in the file. */
  bytes: Uint8Array;
  /** 1 for a column that may have nulls, 0 for one that has none. */
  highestLevel: number;
  /** Values of the dictionary; undefined where the column has none so far. */
  dictionary: ArrayLike<unknown> | undefined;
  decompress: (bytes: Uint8Array, size: number) => Uint8Array;
  /** Values that are written out, each in bytes of its own. */
  readPlain: (bytes: Uint8Array, count: number) => ArrayLike<unknown>;
}

/** Values that are read one after the other. */
export interface LongPage {
  readonly length: number;
  next: () => unknown;
}

/** True for a page whose values can be read one after the other. */
export function isReadInRuns(header: PageHeader, isBoolean: boolean): boolean {
  const encoding = encodingOf(header);
  return encoding !== null && !isBoolean && (encoding === 'PLAIN' || isDictionary(encoding));
}

/** Opens such a page. */
export function openLongPage(parts: LongPageParts): LongPage {
  const { header, highestLevel } = parts;
  const length = header.data_page_header?.num_values ?? header.data_page_header_v2?.num_values ?? 0;
  const { levels, values } = header.type === 'DATA_PAGE' ? splitFirst(parts) : splitSecond(parts);
  const read = valuesOf(parts, values, () => countOf(levels, length, highestLevel));
  if (highestLevel === 0) return { length, next: read };
  const present = new Runs(levels, 1);
  return { length, next: () => (present.next() === 1 ? read() : null) };
}

interface Split {
  levels: Uint8Array;
  values: Uint8Array;
}

/** Version 1 compresses all of a page, and the levels begin with their length. */
function splitFirst({ header, bytes, highestLevel, decompress }: LongPageParts): Split {
  const page = decompress(bytes, header.uncompressed_page_size);
  if (highestLevel === 0) return { levels: page.subarray(0, 0), values: page };
  const length = new DataView(page.buffer, page.byteOffset, page.byteLength).getUint32(0, true);
  return { levels: page.subarray(4, 4 + length), values: page.subarray(4 + length) };
}

/** Version 2 leaves the levels uncompressed, with their length in the header. */
function splitSecond({ header, bytes, decompress }: LongPageParts): Split {
  const page = header.data_page_header_v2;
  const start = page?.repetition_levels_byte_length ?? 0;
  const end = start + (page?.definition_levels_byte_length ?? 0);
  const rest = bytes.subarray(end);
  const values = page?.is_compressed === false ? rest : decompress(rest, header.uncompressed_page_size - end);
  return { levels: bytes.subarray(start, end), values };
}

/** @param count of the values that are there */
function valuesOf(
  { header, dictionary, readPlain }: LongPageParts,
  bytes: Uint8Array,
  count: () => number,
): () => unknown {
  if (!isDictionary(encodingOf(header))) {
    const present = count();
    if (present > bytes.length) throw new Error(`${bytes.length} bytes claim to hold ${present} values`);
    const values = readPlain(bytes, present);
    let index = 0;
    return () => values[index++];
  }
  if (dictionary === undefined) throw new Error('a page without its dictionary');
  const indexes = new Runs(bytes.subarray(1), bytes[0] ?? 0);
  return () => dictionary[indexes.next()];
}

/** How many values a page has that are not null. */
function countOf(levels: Uint8Array, length: number, highestLevel: number): number {
  if (highestLevel === 0) return length;
  const runs = new Runs(levels, 1);
  let count = 0;
  for (let left = length; left > 0;) {
    const { value, repeats } = runs.nextRun(left);
    if (value === 1) count += repeats;
    left -= repeats;
  }
  return count;
}

function encodingOf({ data_page_header: first, data_page_header_v2: second }: PageHeader): string | null {
  return first?.encoding ?? second?.encoding ?? null;
}

function isDictionary(encoding: string | null): boolean {
  return encoding === 'RLE_DICTIONARY' || encoding === 'PLAIN_DICTIONARY';
}

/** Parquet's hybrid of repeated and packed numbers (apache/parquet-format, Encodings.md, RLE = 3). */
class Runs {
  #offset = 0;
  #left = 0;
  #value = 0;
  /** Where the bits of a packed run begin; null in a run of one value. */
  #packed: { start: number; index: number } | null = null;

  /** @param width bits of a number */
  constructor(
    private readonly bytes: Uint8Array,
    private readonly width: number,
  ) {
    if (width > 32) throw new Error(`numbers of ${width} bits`);
  }

  next(): number {
    if (this.width === 0) return 0;
    while (this.#left === 0) this.#begin();
    this.#left -= 1;
    return this.#packed === null ? this.#value : this.#unpack(this.#packed);
  }

  /** The next number, and how often it follows without another, `most` times at most. */
  nextRun(most: number): { value: number; repeats: number } {
    const value = this.next();
    if (this.#packed !== null) return { value, repeats: 1 };
    const repeats = Math.min(most, this.#left + 1);
    this.#left -= repeats - 1;
    return { value, repeats };
  }

  #begin(): void {
    const header = this.#varint();
    this.#left = Math.floor(header / 2);
    if (header % 2 === 1) {
      this.#left *= 8;
      this.#packed = { start: this.#offset, index: 0 };
      this.#offset += Math.ceil((this.#left * this.width) / 8);
      return;
    }
    this.#packed = null;
    this.#value = 0;
    for (let byte = 0; byte < Math.ceil(this.width / 8); byte++)
      this.#value += this.#byte() * 2 ** (8 * byte);
  }

  #unpack(packed: { start: number; index: number }): number {
    let bit = packed.index++ * this.width;
    let value = 0;
    for (let taken = 0; taken < this.width; taken++, bit++) {
      const byte = this.bytes[packed.start + (bit >> 3)];
      if (byte === undefined) throw new Error('a page ends too early');
      if ((byte >> (bit & 7)) & 1) value += 2 ** taken;
    }
    return value;
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift <= 35; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error('a number without an end');
  }

  #byte(): number {
    const byte = this.bytes[this.#offset++];
    if (byte === undefined) throw new Error('a page ends too early');
    return byte;
  }
}
