/**
 * Parquet, page by page: hyparquet decodes, and this reads no more of a file at a time than a megabyte or two of each
 * needed column, whatever the size of its row groups (one of 200,000 long rows would cost half a gigabyte whole).
 */

import type { AsyncBuffer, RowGroup, SchemaTree } from 'hyparquet';
import { ExactNumber, setOwn } from '../lib/json.js';
import { MOST_COLUMNS } from '../lib/json-scan.js';
import { ColumnCursor } from './parquet-column.js';
import { damaged, encrypted, placeOf } from './parquet-errors.js';
import { checkChunk, LARGEST_FOOTER_BYTES } from './parquet-limits.js';
import type { FileFacts } from './parquet-messages.js';
import { NestedColumns } from './parquet-nested.js';
import { loadHyparquet, type OpenParquet } from './parquet-pages.js';
import { bytesOrText, exactInteger } from './parquet-values.js';
import { ExcessiveRow, ROW_LIMITS } from './row-limits.js';

/** What is read of a file's end at once: nearly always all of its metadata. */
const TAIL_BYTES = 1 << 19;
/** The metadata's length and `PAR1`. */
const TRAILER_BYTES = 8;

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
   * @param options `onPlace` is called with what is decoded next, in words that follow "decoding"
   * @throws UserError where the file is no Parquet file or is incomplete
   */
  static async open(
    file: AsyncBuffer,
    title: string,
    { onPlace = () => undefined, limits = ROW_LIMITS }: Partial<Pick<OpenParquet, 'onPlace' | 'limits'>> = {},
  ): Promise<ParquetFile> {
    const hyparquet = await loadHyparquet();
    try {
      const metadata = hyparquet.parquetMetadata(await readFooter(file, title));
      return new ParquetFile({ hyparquet, file, metadata, title, onPlace, limits });
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
  ): AsyncGenerator<Record<string, unknown> | ExcessiveRow> {
    const wanted = columns.filter((column) => this.columns.includes(column));
    let groupStart = 0;
    for (const [index, group] of this.open.metadata.row_groups.entries()) {
      const groupRows = rowsOf(group);
      const from = Math.max(start - groupStart, 0);
      const to = Math.min(end - groupStart, groupRows);
      if (from < to) yield* this.#readGroup({ index, from, to }, wanted, signal);
      groupStart += groupRows;
    }
  }

  async *#readGroup(
    { index, from, to }: GroupRows,
    columns: readonly string[],
    signal?: AbortSignal,
  ): AsyncGenerator<Record<string, unknown> | ExcessiveRow> {
    const { hyparquet, metadata, onPlace } = this.open;
    const group = metadata.row_groups[index] as RowGroup;
    const tree = hyparquet.parquetSchema(metadata);
    const flat = columns.filter((column) => isFlat(tree, column));
    const nested = columns.filter((column) => !flat.includes(column));
    const cursors = flat.map(
      (column) => new ColumnCursor(this.open, { group, tree, path: [column] }, placeOf(index, [column])),
    );
    const nestedRows = nested.length === 0 ? null : await this.#openNested({ index, from, to }, nested);
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
      const rest = nestedRows === null ? null : await nestedRows.next();
      if (rest instanceof ExcessiveRow) {
        yield rest;
        continue;
      }
      for (const column of nested) setOwn(value, column, plain(rest?.[column]));
      yield value;
    }
  }

  /** The nested columns of a row group, from the first row that is wanted on. */
  async #openNested({ index, from, to }: GroupRows, names: readonly string[]): Promise<NestedColumns> {
    const { hyparquet, metadata, title, onPlace } = this.open;
    const group = metadata.row_groups[index] as RowGroup;
    const place = placeOf(index, names);
    try {
      for (const { meta_data: chunk } of group.columns)
        if (chunk !== undefined && names.includes(chunk.path_in_schema[0] ?? '')) checkChunk(chunk);
    } catch (error) {
      throw damaged(title, error, place);
    }
    onPlace(place);
    const tree = hyparquet.parquetSchema(metadata);
    const columns = new NestedColumns(this.open, { group, tree, rows: to }, names, place);
    await columns.skip(from);
    return columns;
  }
}

/** Rows of one row group: from (inclusive) to (exclusive), counted from its first. */
interface GroupRows {
  index: number;
  from: number;
  to: number;
}

function isFlat(tree: SchemaTree, column: string): boolean {
  const node = tree.children.find((child) => child.element.name === column);
  return node !== undefined && node.children.length === 0 && node.element.repetition_type !== 'REPEATED';
}

/** A decoded value as JSON would hold it. */
function plain(value: unknown): unknown {
  if (value === undefined || (typeof value === 'number' && !Number.isFinite(value))) return null;
  if (value instanceof ExactNumber || value instanceof ExcessiveRow) return value;
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
