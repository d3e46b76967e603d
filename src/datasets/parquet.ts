/**
 * Parquet, page by page: hyparquet decodes, and this reads no more of a file at a time than a megabyte or two of each
 * needed column, whatever the size of its row groups (one of 200,000 long rows would cost half a gigabyte whole).
 */

import type { AsyncBuffer, FileMetaData, RowGroup, SchemaElement, SchemaTree } from 'hyparquet';
import { UserError, messageOf } from '../lib/errors.js';
import { ExactNumber, setOwn } from '../lib/json.js';
import { noteDiscarded } from '../lib/memory.js';
import { sanitize } from '../lib/text.js';
import { MOST_COLUMNS } from '../lib/json-scan.js';
import { checkChunk, checkPage, FREE_PAGE_VALUES, LARGEST_FOOTER_BYTES } from './parquet-limits.js';
import type { FileFacts } from './parquet-messages.js';
import { isReadInRuns, openLongPage, type LongPage } from './parquet-runs.js';
import { bytesOrText, exactInteger, exactValue, NotText, PARSERS } from './parquet-values.js';

const FETCH_BYTES = 1 << 20;
/** What is read of a file's end at once: nearly always all of its metadata. */
const TAIL_BYTES = 1 << 19;
/** The metadata's length and `PAR1`. */
const TRAILER_BYTES = 8;
const LONGEST_HEADER_BYTES = 16 << 20;

type Hyparquet = Awaited<ReturnType<typeof loadHyparquet>>;
type Decoder = Parameters<Hyparquet['readPage']>[2];
type Header = ReturnType<Hyparquet['parquetHeader']>;
type Values = ArrayLike<unknown>;

async function loadHyparquet() {
  const [main, column, schema, convert, datapage, plain, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet/src/column.js'),
    import('hyparquet/src/schema.js'),
    import('hyparquet/src/convert.js'),
    import('hyparquet/src/datapage.js'),
    import('hyparquet/src/plain.js'),
    import('hyparquet-compressors'),
  ]);
  const { decompressPage } = datapage;
  const { readPlain } = plain;
  return { ...main, ...column, ...schema, ...convert, decompressPage, readPlain, compressors };
}

/** A file whose footer was read, and what decodes it. */
interface OpenParquet {
  hyparquet: Hyparquet;
  file: AsyncBuffer;
  metadata: FileMetaData;
  /** The file's name for messages. */
  title: string;
  /** Called with what is decoded next. */
  onPlace: (place: string) => void;
}

/** A Parquet file whose footer was read. */
export class ParquetFile implements FileFacts {
  readonly columns: string[];
  readonly rows: number;
  readonly groups: number[];
  readonly isCut: boolean;

  private constructor(private readonly open: OpenParquet) {
    const { hyparquet, metadata } = open;
    const { children } = hyparquet.parquetSchema(metadata);
    this.columns = children.slice(0, MOST_COLUMNS).map((child) => child.element.name);
    this.isCut = children.length > MOST_COLUMNS;
    this.groups = metadata.row_groups.map(rowsOf);
    this.rows = this.groups.reduce((sum, rows) => sum + rows, 0);
  }

  /**
   * Reads the footer.
   * @param title the file's name for messages
   * @param onPlace called with what is decoded next, in words that follow "decoding"
   * @throws UserError where the file is no Parquet file or is incomplete
   */
  static async open(
    file: AsyncBuffer,
    title: string,
    onPlace: (place: string) => void = () => undefined,
  ): Promise<ParquetFile> {
    const hyparquet = await loadHyparquet();
    try {
      const metadata = hyparquet.parquetMetadata(await readFooter(file, title));
      return new ParquetFile({ hyparquet, file, metadata, title, onPlace });
    } catch (error) {
      throw damaged(title, error);
    }
  }

  /**
   * The rows from `start` (inclusive) to `end` (exclusive) with the given columns; those that the file lacks are left
   * out.
   */
  async *read(
    columns: readonly string[],
    start: number,
    end: number,
    signal?: AbortSignal,
  ): AsyncGenerator<Record<string, unknown>> {
    const wanted = columns.filter((column) => this.columns.includes(column));
    let groupStart = 0;
    for (const [index, group] of this.open.metadata.row_groups.entries()) {
      const groupRows = rowsOf(group);
      const from = Math.max(start - groupStart, 0);
      const to = Math.min(end - groupStart, groupRows);
      if (from < to) yield* this.#readGroup({ index, groupStart, from, to }, wanted, signal);
      groupStart += groupRows;
    }
  }

  async *#readGroup(
    { index, groupStart, from, to }: GroupRows,
    columns: readonly string[],
    signal?: AbortSignal,
  ): AsyncGenerator<Record<string, unknown>> {
    const { hyparquet, metadata, onPlace } = this.open;
    const group = metadata.row_groups[index] as RowGroup;
    const tree = hyparquet.parquetSchema(metadata);
    const flat = columns.filter((column) => isFlat(tree, column));
    const nested = columns.filter((column) => !flat.includes(column));
    const cursors = flat.map(
      (column) => new ColumnCursor(this.open, { group, tree, column, place: placeOf(index, [column]) }),
    );
    if (nested.length > 0) this.#checkNested(index, nested);
    const nestedRows =
      nested.length === 0 ? null : this.#readNested(nested, groupStart + from, groupStart + to);
    for (let row = 0; row < to; row++) {
      signal?.throwIfAborted();
      const value: Record<string, unknown> = {};
      for (const cursor of cursors) {
        if (!cursor.ready) {
          onPlace(cursor.place);
          await cursor.load();
        }
        const cellValue = cursor.next();
        if (row >= from) setOwn(value, cursor.column, plain(cellValue));
      }
      if (row < from) continue;
      // Nested columns are decoded as a whole for their first row.
      if (row === from && nested.length > 0) onPlace(placeOf(index, nested));
      const rest =
        nestedRows === null ? null : ((await nestedRows.next()).value as Record<string, unknown> | undefined);
      for (const column of nested) setOwn(value, column, plain(rest?.[column]));
      yield value;
    }
  }

  #checkNested(index: number, columns: readonly string[]): void {
    const place = placeOf(index, columns);
    try {
      for (const { meta_data: metadata } of this.open.metadata.row_groups[index]?.columns ?? [])
        if (metadata !== undefined && columns.includes(metadata.path_in_schema[0] ?? ''))
          checkChunk(metadata, rowsOf(this.open.metadata.row_groups[index] as RowGroup));
    } catch (error) {
      throw damaged(this.open.title, error, place);
    }
  }

  /** Lists and structs: hyparquet puts them together, a row group at a time (its pages need not end with a row). */
  async *#readNested(columns: string[], start: number, end: number): AsyncGenerator<Record<string, unknown>> {
    const { hyparquet, file, metadata, title } = this.open;
    for (let from = start; from < end;) {
      const to = Math.min(end, this.#groupEnd(from));
      let rows: Record<string, unknown>[];
      try {
        rows = await hyparquet.parquetReadObjects({
          file,
          metadata,
          columns,
          rowStart: from,
          rowEnd: to,
          compressors: hyparquet.compressors,
          parsers: PARSERS,
          // Bytes inside a struct may be an image's.
          utf8: false,
        });
      } catch (error) {
        if (error instanceof NotText) throw binary(title, columns.join('", "'));
        throw damaged(title, error);
      }
      yield* rows;
      from = to;
    }
  }

  #groupEnd(row: number): number {
    let end = 0;
    for (const group of this.open.metadata.row_groups) {
      end += rowsOf(group);
      if (row < end) break;
    }
    return end;
  }
}

/** Rows of one row group. */
interface GroupRows {
  index: number;
  /** The row of the file that its first row is. */
  groupStart: number;
  /** Within the group: from (inclusive) to (exclusive). */
  from: number;
  to: number;
}

/** One flat column of one row group. */
interface GroupColumn {
  group: RowGroup;
  tree: SchemaTree;
  column: string;
  /** Where it is in the file, for messages. */
  place: string;
}

/** Reads one flat column of one row group from its first value on. */
class ColumnCursor {
  readonly column: string;
  readonly place: string;
  private readonly hyparquet: Hyparquet;
  private readonly file: AsyncBuffer;
  private readonly title: string;
  readonly #decoder: Decoder;
  readonly #exact: ((value: unknown) => unknown) | null;
  #position: number;
  readonly #end: number;
  /** Bytes that were fetched and not decoded yet. */
  #bytes: Uint8Array = new Uint8Array(0);
  #dictionary: Parameters<Hyparquet['readPage']>[3];
  #values: Values = [];
  /** A page whose values are too many for an array; it takes the place of `#values`. */
  #long: LongPage | null = null;
  #index = 0;

  constructor(
    { hyparquet, file, title }: Pick<OpenParquet, 'hyparquet' | 'file' | 'title'>,
    { group, tree, column, place }: GroupColumn,
  ) {
    this.hyparquet = hyparquet;
    this.file = file;
    this.title = title;
    this.column = column;
    this.place = place;
    const chunk = group.columns.find((one) => one.meta_data?.path_in_schema[0] === column);
    if (chunk?.crypto_metadata !== undefined) throw encrypted(title, `its column "${sanitize(column, 60)}"`);
    const metadata = chunk?.meta_data;
    if (metadata === undefined) throw damaged(title, new Error(`column ${column} is missing in a row group`));
    const schemaPath = hyparquet.getTreePath(tree, metadata.path_in_schema);
    const element = schemaPath.at(-1)?.element;
    if (element === undefined) throw damaged(title, new Error(`column ${column} is not in the schema`));
    const isDecimal = element.converted_type === 'DECIMAL';
    this.#decoder = {
      pathInSchema: metadata.path_in_schema,
      // The decoder would make decimals floating-point numbers.
      element: isDecimal ? withoutType(element) : element,
      utf8: !isDecimal,
      schemaPath,
      type: metadata.type,
      codec: metadata.codec,
      compressors: hyparquet.compressors,
      parsers: { ...hyparquet.DEFAULT_PARSERS, ...PARSERS },
    };
    this.#exact = exactValue(element);
    // Some writers put 0 where there is no dictionary (apache/parquet-testing, dict-page-offset-zero.parquet).
    this.#position = Number(metadata.dictionary_page_offset ?? 0) || Number(metadata.data_page_offset);
    this.#end = this.#position + Number(metadata.total_compressed_size);
  }

  /** True where `next` has a value without loading a page. */
  get ready(): boolean {
    return this.#index < (this.#long ?? this.#values).length;
  }

  next(): unknown {
    const value = this.#long === null ? this.#values[this.#index++] : this.#nextLong(this.#long);
    return this.#exact === null || value === null || value === undefined ? value : this.#exact(value);
  }

  #nextLong(page: LongPage): unknown {
    this.#index += 1;
    try {
      return page.next();
    } catch (error) {
      throw damaged(this.title, error, this.place);
    }
  }

  /** Decodes pages until there is a value. */
  async load(): Promise<void> {
    this.#index = 0;
    this.#values = [];
    this.#long = null;
    while (!this.ready) {
      if (this.#bytes.length === 0 && this.#position >= this.#end) {
        throw damaged(this.title, new Error(`column ${this.column} ends too early`));
      }
      try {
        await this.#page();
      } catch (error) {
        if (error instanceof NotText) throw binary(this.title, this.column);
        throw damaged(this.title, error, this.place);
      }
    }
  }

  async #page(): Promise<void> {
    const { header, length } = await this.#header();
    const size = header.compressed_page_size;
    const inRuns = isReadInRuns(header, this.#decoder.type === 'BOOLEAN');
    checkPage(header, inRuns);
    await this.#fetch(length + size);
    const bytes = this.#bytes.subarray(length, length + size);
    this.#bytes = this.#bytes.subarray(length + size);
    if (inRuns && valuesOf(header) > FREE_PAGE_VALUES) {
      this.#long = this.#openLong(header, bytes);
      return;
    }
    const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
    noteDiscarded(size + header.uncompressed_page_size);
    const page = this.hyparquet.readPage(reader, header, this.#decoder, this.#dictionary, undefined, 0);
    if (header.type !== 'DICTIONARY_PAGE') this.#values = page.data ?? [];
    else if (page.data !== undefined) this.#dictionary = this.hyparquet.convert(page.data, this.#decoder);
  }

  #openLong(header: Header, bytes: Uint8Array): LongPage {
    const { hyparquet } = this;
    const { type, element, schemaPath, codec, compressors } = this.#decoder;
    return openLongPage({
      header,
      bytes,
      highestLevel: hyparquet.getMaxDefinitionLevel(schemaPath),
      dictionary: this.#dictionary,
      decompress: (packed, size) => hyparquet.decompressPage(packed, size, codec, compressors),
      readPlain: (plainBytes, count) => {
        const view = new DataView(plainBytes.buffer, plainBytes.byteOffset, plainBytes.byteLength);
        const values = hyparquet.readPlain({ view, offset: 0 }, type, count, element.type_length);
        return hyparquet.convert(values, this.#decoder);
      },
    });
  }

  /** The next page's header and its length in bytes; a header that is cut off is read again with more bytes. */
  async #header(): Promise<{ header: Header; length: number }> {
    for (let wanted = 1024; ; wanted *= 4) {
      const complete = await this.#fetch(wanted);
      const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
      const reader = { view, offset: 0 };
      try {
        return { header: this.hyparquet.parquetHeader(reader), length: reader.offset };
      } catch (error) {
        // Its statistics may be long; only an end of the column, or absurd length, is a sign of damage.
        if (!complete || wanted > LONGEST_HEADER_BYTES) throw error;
      }
    }
  }

  /** Reads ahead until this many bytes are there; false where the column ends before. */
  async #fetch(wanted: number): Promise<boolean> {
    const missing = wanted - this.#bytes.length;
    if (missing <= 0) return true;
    const length = Math.min(Math.max(missing, FETCH_BYTES), this.#end - this.#position);
    if (length > 0) {
      const fetched = new Uint8Array(await this.file.slice(this.#position, this.#position + length));
      if (fetched.length === 0) throw new Error('the file ends too early');
      this.#bytes = this.#bytes.length === 0 ? fetched : join(this.#bytes, fetched);
      this.#position += fetched.length;
    }
    return this.#bytes.length >= wanted;
  }
}

function valuesOf({ data_page_header: first, data_page_header_v2: second }: Header): number {
  return first?.num_values ?? second?.num_values ?? 0;
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

function withoutType(element: SchemaElement): SchemaElement {
  const copy = { ...element };
  delete copy.converted_type;
  return copy;
}

function isFlat(tree: SchemaTree, column: string): boolean {
  const node = tree.children.find((child) => child.element.name === column);
  return node !== undefined && node.children.length === 0 && node.element.repetition_type !== 'REPEATED';
}

/** A decoded value as JSON would hold it. */
function plain(value: unknown): unknown {
  if (value === undefined || (typeof value === 'number' && !Number.isFinite(value))) return null;
  if (value instanceof ExactNumber) return value;
  if (typeof value === 'bigint') return exactInteger(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array) return bytesOrText(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) {
    const result: Record<string, unknown> = {};
    for (const [name, inner] of Object.entries(value)) setOwn(result, name, plain(inner));
    return result;
  }
  return value;
}

/** The end of a file, and that of one whose footer is encrypted (Parquet Modular Encryption). */
const MAGIC = 0x31524150;
const ENCRYPTED_MAGIC = 0x45524150;

/** The metadata at a file's end, with its trailer; its claimed length is checked before it is read. */
async function readFooter(file: AsyncBuffer, title: string): Promise<ArrayBuffer> {
  const size = file.byteLength;
  if (!(size >= TRAILER_BYTES)) throw new Error('it is too short');
  const tail = await file.slice(Math.max(0, size - TAIL_BYTES), size);
  if (tail.byteLength < TRAILER_BYTES) throw new Error('it ends too early');
  const trailer = new DataView(tail, tail.byteLength - TRAILER_BYTES);
  const magic = trailer.getUint32(4, true);
  if (magic === ENCRYPTED_MAGIC) throw encrypted(title, 'it');
  if (magic !== MAGIC) throw new Error('it does not end with PAR1');
  const length = trailer.getUint32(0, true);
  if (length > size - TRAILER_BYTES)
    throw new Error(`its metadata claims ${length} bytes, more than the file has`);
  if (length > LARGEST_FOOTER_BYTES) throw new Error(`its metadata claims ${length} bytes`);
  const whole = length + TRAILER_BYTES;
  return whole <= tail.byteLength ? tail : file.slice(size - whole, size);
}

/** @throws Error where a row group claims a number of rows that is none */
function rowsOf(group: RowGroup): number {
  const rows = Number(group.num_rows);
  if (!Number.isSafeInteger(rows) || rows < 0) throw new Error(`a row group claims ${group.num_rows} rows`);
  return rows;
}

function placeOf(group: number, columns: readonly string[]): string {
  const names = columns.slice(0, 3).map((column) => `"${sanitize(column, 60)}"`);
  return `row group ${group + 1}, column ${names.join(', ')}`;
}

function encrypted(title: string, what: string): UserError {
  return new UserError(`${title} cannot be read: ${what} is encrypted. Write it without encryption.`);
}

function binary(title: string, columns: string): UserError {
  return new UserError(
    `${title} cannot be read: "${sanitize(columns, 200)}" holds binary data, not text. Choose other columns with ` +
      '--prompt_column, --response_column and --input_column (none for no column).',
  );
}

/** @param place in the file, where it is known */
function damaged(title: string, error: unknown, place = ''): UserError {
  if (error instanceof UserError) return error;
  const reason = `${place === '' ? '' : `${place}: `}${sanitize(messageOf(error), 200)}`;
  return new UserError(
    `${title} can't be read as Parquet: ${reason}. It may be damaged or incomplete; download it again.`,
    undefined,
    { cause: error },
  );
}
