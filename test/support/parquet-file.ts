/** Parquet files byte by byte, for claims that no writer makes. */

/** Thrift's compact protocol: types of fields. */
const I32 = 5;
const I64 = 6;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;

type Field = [id: number, type: number, value: Buffer];

const BYTE_ARRAY = 6;
const GZIP = 2;
export const ENCODINGS = { plain: 0, dictionary: 8, deltaBytes: 7 };

export const CONVERTED = { utf8: 0, json: 19 };

export interface CraftedPage {
  /** The page's own bytes, as they are in the file. */
  bytes: Buffer;
  claimedValues: number;
  encoding: number;
  claimedSize?: number;
  dictionary?: { bytes: Buffer; claimedValues: number };
  gzip?: boolean;
  /** How the texts are meant (`CONVERTED`). */
  meaning?: number;
}

/** A file of one row group whose columns all hold the same page. */
export function craftedParquet(columns: readonly string[], rows: number, page: CraftedPage): Buffer {
  const parts: Buffer[] = [Buffer.from('PAR1')];
  const chunks = columns.map((name) => {
    const start = length(parts);
    const { dictionary } = page;
    if (dictionary !== undefined) {
      const size = dictionary.bytes.length;
      const claims = struct([i32(1, dictionary.claimedValues), i32(2, ENCODINGS.plain)]);
      parts.push(struct([i32(1, 2), i32(2, size), i32(3, size), [7, STRUCT, claims]]), dictionary.bytes);
    }
    const dataStart = length(parts);
    const claims = struct([i32(1, page.claimedValues), i32(2, page.encoding), i32(3, 3), i32(4, 3)]);
    const size = page.claimedSize ?? page.bytes.length;
    parts.push(struct([i32(1, 0), i32(2, size), i32(3, page.bytes.length), [5, STRUCT, claims]]), page.bytes);
    return { name, start, dataStart, size: length(parts) - start };
  });
  const metadata = chunks.map(({ name, start, dataStart, size }) => {
    const fields = [
      i32(1, BYTE_ARRAY),
      list(2, I32, [zigzag(page.encoding)]),
      list(3, BINARY, [text(name)]),
      i32(4, page.gzip === true ? GZIP : 0),
      i64(5, rows),
      i64(6, size),
      i64(7, size),
      i64(9, dataStart),
      ...(page.dictionary === undefined ? [] : [i64(11, start)]),
    ];
    return struct([i64(2, start), [3, STRUCT, struct(fields)]]);
  });
  const group = struct([list(1, STRUCT, metadata), i64(2, length(parts)), i64(3, rows)]);
  return withFooter(parts, columns, rows, [group], page.meaning);
}

function withFooter(
  parts: Buffer[],
  columns: readonly string[],
  rows: number,
  groups: Buffer[],
  meaning = CONVERTED.utf8,
): Buffer {
  const root = struct([[4, BINARY, text('root')], i32(5, columns.length)]);
  const schema = columns.map((name) =>
    struct([i32(1, BYTE_ARRAY), i32(3, 0), [4, BINARY, text(name)], i32(6, meaning)]),
  );
  const footer = struct([
    i32(1, 1),
    list(2, STRUCT, [root, ...schema]),
    i64(3, rows),
    list(4, STRUCT, groups),
  ]);
  return Buffer.concat([...parts, footer, trailer(footer.length)]);
}

/** A file with columns and no rows. */
export function emptyParquet(columns: readonly string[]): Buffer {
  return withFooter([Buffer.from('PAR1')], columns, 0, []);
}

/** The end of a file: its footer's length, and `PAR1`. */
export function trailer(footerLength: number): Buffer {
  const bytes = Buffer.alloc(8, 'PAR1');
  bytes.writeUInt32LE(footerLength, 0);
  bytes.write('PAR1', 4);
  return bytes;
}

/** A run of one value, as the run-length encoding has it; `value` takes a byte. */
export function run(count: number, value: number): Buffer {
  return Buffer.concat([varint(BigInt(count) << 1n), Buffer.of(value)]);
}

/** Plain text: its length and its bytes. */
export function plainText(value: string): Buffer {
  const bytes = Buffer.from(value);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(bytes.length);
  return Buffer.concat([size, bytes]);
}

/** Numbers that grow by the same step, as DELTA_BINARY_PACKED has them: a few bytes for any count. */
export function steps(count: number, first: number, step: number): Buffer {
  const block = 1 << 20;
  const blocks = Array.from({ length: Math.ceil(count / block) }, () => [zigzag(step), Buffer.alloc(4)]);
  const head = [varint(BigInt(block)), varint(4n), varint(BigInt(count)), zigzag(first)];
  return Buffer.concat([...head, ...blocks.flat()]);
}

/** A page of texts each of which is the one before and a letter more: their sum grows with the square of their count. */
export function growingTexts(count: number): CraftedPage {
  const bytes = Buffer.concat([steps(count, 0, 1), steps(count, 1, 0), Buffer.alloc(count, 'x')]);
  return { bytes, claimedValues: count, encoding: ENCODINGS.deltaBytes };
}

function length(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

function struct(fields: readonly Field[]): Buffer {
  let last = 0;
  const parts = fields.map(([id, type, value]) => {
    const head = Buffer.of(((id - last) << 4) | type);
    last = id;
    return Buffer.concat([head, value]);
  });
  return Buffer.concat([...parts, Buffer.of(0)]);
}

function i32(id: number, value: number): Field {
  return [id, I32, zigzag(value)];
}

function i64(id: number, value: number): Field {
  return [id, I64, zigzag(value)];
}

function list(id: number, type: number, items: readonly Buffer[]): Field {
  const size =
    items.length < 15
      ? Buffer.of((items.length << 4) | type)
      : Buffer.concat([Buffer.of(0xf0 | type), varint(BigInt(items.length))]);
  return [id, LIST, Buffer.concat([size, ...items])];
}

function text(value: string): Buffer {
  return Buffer.concat([varint(BigInt(Buffer.byteLength(value))), Buffer.from(value)]);
}

function zigzag(value: number): Buffer {
  const wide = BigInt(value);
  return varint(wide >= 0n ? wide * 2n : -wide * 2n - 1n);
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}
