/**
 * Pages that would take too much memory all at once. Millions of values in a few bytes are legal: pyarrow before version 12
 * wrote row groups of 64 Mi rows, and a column with one value, or none, is a single run in a single page. hyparquet makes
 * arrays of all values; here they are read one after the other, in memory that does not depend on their number.
 */

import type { PageHeader } from 'hyparquet';

/** What a page's values come from, as far as its header and the column say. */
export interface LongPageParts {
  header: PageHeader;
  /** The page as it is in the file. */
  bytes: Uint8Array;
  /** 0 for a column without lists. */
  highestRepetition: number;
  /** 0 for a column that has no nulls. */
  highestDefinition: number;
  /** Values of the dictionary; undefined where the column has none so far. */
  dictionary: ArrayLike<unknown> | undefined;
  decompress: (bytes: Uint8Array, size: number) => Uint8Array;
  /** Opens values that are written out, each in bytes of its own, and reads as many of them as are wanted next. */
  plainReader: (bytes: Uint8Array) => (count: number) => ArrayLike<unknown>;
}

/** Values that are written out are decoded this many at a time. */
const PLAIN_VALUES = 1024;

/** A page whose values are read one after the other. */
export class LongPage {
  /** Values, nulls and empty lists included. */
  readonly length: number;
  readonly #repetitions: Runs | null;
  readonly #definitions: Runs | null;
  readonly #highest: number;
  readonly #value: () => unknown;

  constructor(parts: LongPageParts) {
    const { header, highestRepetition, highestDefinition: highest } = parts;
    const length = header.data_page_header?.num_values ?? header.data_page_header_v2?.num_values ?? 0;
    const { repetitions, definitions, values } =
      header.type === 'DATA_PAGE' ? splitFirst(parts) : splitSecond(parts);
    this.length = length;
    this.#highest = highest;
    this.#repetitions = highestRepetition === 0 ? null : new Runs(repetitions, widthOf(highestRepetition));
    this.#definitions = highest === 0 ? null : new Runs(definitions, widthOf(highest));
    this.#value = valuesOf(parts, values, () => countOf(definitions, length, highest));
  }

  /** The next value of a column without lists; null where there is none. */
  next(): unknown {
    return this.definition() === this.#highest ? this.value() : null;
  }

  /** The next repetition level. */
  repetition(): number {
    return this.#repetitions?.next() ?? 0;
  }

  /** The next definition level. */
  definition(): number {
    return this.#definitions?.next() ?? 0;
  }

  /** The next value that is there: one belongs to each definition level that is the highest. */
  value(): unknown {
    return this.#value();
  }
}

/** True for a page whose values can be read one after the other. */
export function isReadInRuns(header: PageHeader, isBoolean: boolean): boolean {
  const encoding = encodingOf(header);
  return encoding !== null && !isBoolean && (encoding === 'PLAIN' || isDictionary(encoding));
}

/** Bits of a level. */
function widthOf(highest: number): number {
  return 32 - Math.clz32(highest);
}

interface Split {
  repetitions: Uint8Array;
  definitions: Uint8Array;
  values: Uint8Array;
}

/** Version 1 compresses all of a page, and levels begin with their length. */
function splitFirst({
  header,
  bytes,
  highestRepetition,
  highestDefinition,
  decompress,
}: LongPageParts): Split {
  let rest = decompress(bytes, header.uncompressed_page_size);
  const levels = (highest: number): Uint8Array => {
    if (highest === 0) return rest.subarray(0, 0);
    const length = new DataView(rest.buffer, rest.byteOffset, rest.byteLength).getUint32(0, true);
    const found = rest.subarray(4, 4 + length);
    rest = rest.subarray(4 + length);
    return found;
  };
  const repetitions = levels(highestRepetition);
  const definitions = levels(highestDefinition);
  return { repetitions, definitions, values: rest };
}

/** Version 2 leaves the levels uncompressed, with their length in the header. */
function splitSecond({ header, bytes, decompress }: LongPageParts): Split {
  const page = header.data_page_header_v2;
  const start = page?.repetition_levels_byte_length ?? 0;
  const end = start + (page?.definition_levels_byte_length ?? 0);
  const rest = bytes.subarray(end);
  const values = page?.is_compressed === false ? rest : decompress(rest, header.uncompressed_page_size - end);
  return { repetitions: bytes.subarray(0, start), definitions: bytes.subarray(start, end), values };
}

/** @param count of the values that are there */
function valuesOf(
  { header, dictionary, plainReader }: LongPageParts,
  bytes: Uint8Array,
  count: () => number,
): () => unknown {
  if (!isDictionary(encodingOf(header))) return plainValues(plainReader(bytes), bytes.length, count());
  if (dictionary === undefined) throw new Error('a page without its dictionary');
  const indexes = new Runs(bytes.subarray(1), bytes[0] ?? 0);
  return () => dictionary[indexes.next()];
}

function plainValues(
  read: (count: number) => ArrayLike<unknown>,
  bytes: number,
  count: number,
): () => unknown {
  if (count > bytes) throw new Error(`${bytes} bytes claim to hold ${count} values`);
  let left = count;
  let values: ArrayLike<unknown> = [];
  let index = 0;
  return () => {
    if (index === values.length) {
      if (left === 0) throw new Error('a page ends too early');
      values = read(Math.min(left, PLAIN_VALUES));
      left -= values.length;
      index = 0;
    }
    return values[index++];
  };
}

/** How many values a page has that are not null. */
function countOf(definitions: Uint8Array, length: number, highest: number): number {
  if (highest === 0) return length;
  const runs = new Runs(definitions, widthOf(highest));
  let count = 0;
  for (let left = length; left > 0;) {
    const { value, repeats } = runs.nextRun(left);
    if (value === highest) count += repeats;
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

/** Bits of a number that are within four bytes wherever it begins. */
const WIDEST_IN_WORD = 25;

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
    const first = packed.start + (bit >> 3);
    if (this.width <= WIDEST_IN_WORD && first + 3 < this.bytes.length) {
      const word =
        (this.bytes[first] ?? 0) |
        ((this.bytes[first + 1] ?? 0) << 8) |
        ((this.bytes[first + 2] ?? 0) << 16) |
        ((this.bytes[first + 3] ?? 0) << 24);
      return (word >>> (bit & 7)) & ((1 << this.width) - 1);
    }
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
