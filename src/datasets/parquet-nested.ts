/**
 * Lists, maps and structs of one row group, some rows at a time: memory depends on the pages and on the largest row
 * that is allowed, not on the row group. A row that is larger is passed over, entry by entry, and becomes a problem of
 * its own.
 *
 * Every innermost column is read row by row (a row ends where the next entry has repetition level 0, which may be pages
 * later), all of them in step; what was read of some rows is put together by hyparquet (Dremel's record assembly).
 */

import type { RowGroup, SchemaTree } from 'hyparquet';
import { noteDiscarded } from '../lib/memory.js';
import { undecodable } from './parquet-errors.js';
import {
  chunkOf,
  ColumnPages,
  decoderOf,
  openLongPage,
  parsersOf,
  type Decoder,
  type Hyparquet,
  type OpenParquet,
  type Page,
  type Values,
} from './parquet-pages.js';
import type { LongPage } from './parquet-runs.js';
import { ExcessiveRow, inColumn, TOO_LONG, TOO_MANY_VALUES, type RowLimits } from './row-limits.js';

/** Rows, entries and bytes that are put together at a time. */
const BATCH_ROWS = 256;
const BATCH_ENTRIES = 1 << 16;
const BATCH_BYTES = 4 << 20;
/** Read ahead, over all innermost columns: from the Hub every range is a request. */
const FETCH_BYTES = 8 << 20;
const MOST_FETCHED = 4 << 20;
const LEAST_FETCHED = 1 << 18;
/** Pages of more entries are decoded in stretches. */
const WHOLE_PAGE_ENTRIES = 1 << 18;
const STRETCH_ENTRIES = 1 << 14;

/** Entries of an innermost column, decoded. */
interface Stretch {
  length: number;
  /** Empty where all are 0. */
  repetitions: ArrayLike<number>;
  /** Empty where all are the highest. */
  definitions: ArrayLike<number>;
  /** One for each definition level that is the highest. */
  values: Values;
}

const NO_STRETCH: Stretch = { length: 0, repetitions: [], definitions: [], values: [] };

/** What the present row has so far, in all columns together. */
interface RowSize {
  entries: number;
  bytes: number;
  /** What it may have. */
  limits: RowLimits;
  /** Where it became too much; null while it is not. Nothing more of it is kept then. */
  excess: { column: string; problem: string } | null;
}

const PASSED_OVER = { column: '', problem: 'is not wanted' };

/** The nested columns of a row group, from its first row on. */
export class NestedColumns {
  readonly #columns: NestedColumn[];
  readonly #leaves: Leaf[];
  /** Rows that are put together and were not given yet, the next one last. */
  #ready: (Record<string, unknown> | ExcessiveRow)[] = [];
  #rowsLeft: number;

  constructor(
    private readonly open: OpenParquet,
    { group, tree, rows }: { group: RowGroup; tree: SchemaTree; rows: number },
    private readonly names: readonly string[],
    private readonly place: string,
  ) {
    this.#rowsLeft = rows;
    const nodes = tree.children.filter(({ element }) => names.includes(element.name));
    const paths = nodes.map((node) => leavesOf(node));
    const fetchBytes = Math.min(MOST_FETCHED, Math.max(LEAST_FETCHED, FETCH_BYTES / paths.flat().length));
    this.#columns = nodes.map((node, index) => ({
      node,
      leaves: (paths[index] ?? []).map((path) => new Leaf(open, { group, tree, path }, fetchBytes)),
    }));
    this.#leaves = this.#columns.flatMap(({ leaves }) => leaves);
  }

  /** Passes over rows. */
  async skip(rows: number): Promise<void> {
    for (let row = 0; row < rows; row++) {
      await this.#readRow({ entries: 0, bytes: 0, limits: this.open.limits, excess: PASSED_OVER });
    }
    this.#rowsLeft -= rows;
  }

  /**
   * The next row, with its nested columns alone.
   * @throws UserError where a column is damaged
   */
  async next(): Promise<Record<string, unknown> | ExcessiveRow> {
    if (this.#ready.length === 0) this.#ready = (await this.#batch()).toReversed();
    const row = this.#ready.pop();
    if (row === undefined) throw new Error('no row is left');
    return row;
  }

  async #batch(): Promise<(Record<string, unknown> | ExcessiveRow)[]> {
    const excesses: (ExcessiveRow | null)[] = [];
    let entries = 0;
    let bytes = 0;
    this.#leaves.forEach((leaf) => {
      leaf.clear();
    });
    while (
      this.#rowsLeft > 0 &&
      excesses.length < BATCH_ROWS &&
      entries < BATCH_ENTRIES &&
      bytes < BATCH_BYTES
    ) {
      this.#rowsLeft -= 1;
      const row: RowSize = { entries: 0, bytes: 0, limits: this.open.limits, excess: null };
      const marks = this.#leaves.map((leaf) => leaf.mark());
      await this.#readRow(row);
      entries += row.entries;
      bytes += row.bytes;
      if (row.excess !== null)
        this.#leaves.forEach((leaf, index) => {
          leaf.backTo(marks[index]);
        });
      excesses.push(
        row.excess === null ? null : new ExcessiveRow(inColumn(row.excess.problem, row.excess.column)),
      );
    }
    return this.#assembled(excesses);
  }

  async #readRow(row: RowSize): Promise<void> {
    for (const leaf of this.#leaves) {
      try {
        while (!leaf.takeRow(row)) await leaf.load();
      } catch (error) {
        throw this.#problem(error);
      }
    }
  }

  #assembled(excesses: readonly (ExcessiveRow | null)[]): (Record<string, unknown> | ExcessiveRow)[] {
    const whole = excesses.filter((excess) => excess === null).length;
    let row = 0;
    try {
      const columns = whole === 0 ? [] : this.#columns.map((column) => this.#assemble(column, whole));
      return excesses.map((excess) => {
        if (excess !== null) return excess;
        const cells = Object.fromEntries(columns.map(({ name, values }) => [name, values[row]]));
        row += 1;
        return cells;
      });
    } catch (error) {
      throw this.#problem(error);
    }
  }

  #assemble({ node, leaves }: NestedColumn, rows: number): { name: string; values: Values } {
    const { hyparquet } = this.open;
    const { name } = node.element;
    const parts = new Map(leaves.map((leaf) => [leaf.name, leaf.assembled()]));
    hyparquet.assembleNested(parts, node, parsersOf(hyparquet));
    const values = parts.get(name);
    if (values?.length !== rows) throw new Error(`${values?.length ?? 0} rows where there are ${rows}`);
    return { name, values };
  }

  #problem(error: unknown): Error {
    return undecodable(this.open.title, error, { columns: this.names, place: this.place });
  }
}

interface NestedColumn {
  node: SchemaTree;
  leaves: Leaf[];
}

function leavesOf(node: SchemaTree): string[][] {
  return node.children.length === 0 ? [node.path] : node.children.flatMap(leavesOf);
}

/** One innermost column: what was read of the present rows, and where it goes on. */
class Leaf {
  readonly name: string;
  readonly #column: string;
  readonly #hyparquet: Hyparquet;
  readonly #pages: ColumnPages;
  readonly #decoder: Decoder;
  readonly #highest: number;
  #stretch = NO_STRETCH;
  #entry = 0;
  #value = 0;
  /** A page of which stretches are left. */
  #long: { page: LongPage; left: number } | null = null;
  #isInRow = false;
  #repetitions: number[] = [];
  #definitions: number[] = [];
  #values: unknown[] = [];

  constructor(
    open: OpenParquet,
    { group, tree, path }: { group: RowGroup; tree: SchemaTree; path: string[] },
    fetchBytes: number,
  ) {
    const { hyparquet, title } = open;
    const chunk = chunkOf(title, { group, tree, path }, hyparquet);
    this.name = path.join('.');
    this.#column = path[0] ?? '';
    this.#hyparquet = hyparquet;
    // Bytes inside a struct may be an image's.
    this.#decoder = { ...decoderOf(hyparquet, chunk), utf8: false };
    this.#highest = hyparquet.getMaxDefinitionLevel(chunk.schemaPath);
    this.#pages = new ColumnPages(open, this.#decoder, chunk.metadata, fetchBytes, WHOLE_PAGE_ENTRIES);
  }

  /**
   * Takes the entries of the present row, as long as it is not too large.
   * @returns false where its end is not among what is decoded: `load`, and call this again
   */
  takeRow(row: RowSize): boolean {
    const { repetitions, definitions, values, length } = this.#stretch;
    const highest = this.#highest;
    for (; this.#entry < length; this.#entry++) {
      const repetition = repetitions.length === 0 ? 0 : (repetitions[this.#entry] ?? 0);
      if (repetition === 0 && this.#isInRow) {
        this.#isInRow = false;
        return true;
      }
      this.#isInRow = true;
      const definition = definitions.length === 0 ? highest : (definitions[this.#entry] ?? 0);
      const value = definition === highest ? values[this.#value++] : null;
      if (row.excess !== null) continue;
      this.#repetitions.push(repetition);
      this.#definitions.push(definition);
      if (definition === highest) this.#values.push(value);
      this.#measure(value, row);
    }
    if (!this.#pages.ended || this.#long !== null) return false;
    if (!this.#isInRow) throw new Error('it ends too early');
    this.#isInRow = false;
    return true;
  }

  #measure(value: unknown, row: RowSize): void {
    row.entries += 1;
    if (typeof value === 'string' || value instanceof Uint8Array) row.bytes += value.length;
    const { limits } = row;
    if (row.entries > limits.values) row.excess = { column: this.#column, problem: TOO_MANY_VALUES };
    else if (row.bytes > limits.bytes) row.excess = { column: this.#column, problem: TOO_LONG };
  }

  /** Decodes more entries. */
  async load(): Promise<void> {
    this.#entry = 0;
    this.#value = 0;
    this.#stretch = NO_STRETCH;
    if (this.#long === null) {
      const page = await this.#pages.next();
      if (!page.isLong) {
        this.#stretch = this.#whole(page);
        return;
      }
      const long = openLongPage(this.#hyparquet, this.#decoder, page);
      this.#long = { page: long, left: long.length };
    }
    this.#stretch = this.#nextStretch(this.#long);
    if (this.#long.left === 0) this.#long = null;
  }

  #whole({ header, bytes, dictionary }: Page): Stretch {
    const hyparquet = this.#hyparquet;
    const { codec, compressors } = this.#decoder;
    noteDiscarded(bytes.length + header.uncompressed_page_size);
    const { data_page_header: first, data_page_header_v2: second } = header;
    const data = first ?? second;
    if (data === undefined) throw new Error(`a page of type ${header.type}`);
    const { repetitionLevels, definitionLevels, dataPage } =
      first === undefined
        ? hyparquet.readDataPageV2(bytes, header, this.#decoder)
        : hyparquet.readDataPage(
            hyparquet.decompressPage(bytes, header.uncompressed_page_size, codec, compressors),
            first,
            this.#decoder,
          );
    return {
      length: data.num_values,
      repetitions: repetitionLevels,
      definitions: definitionLevels ?? [],
      values: hyparquet.convertWithDictionary(dataPage, dictionary, data.encoding, this.#decoder),
    };
  }

  #nextStretch(long: { page: LongPage; left: number }): Stretch {
    const { page } = long;
    const length = Math.min(long.left, STRETCH_ENTRIES);
    const repetitions = new Uint8Array(length);
    const definitions = new Uint8Array(length);
    const values: unknown[] = [];
    for (let entry = 0; entry < length; entry++) {
      repetitions[entry] = page.repetition();
      const definition = page.definition();
      definitions[entry] = definition;
      if (definition === this.#highest) values.push(page.value());
    }
    long.left -= length;
    return { length, repetitions, definitions, values };
  }

  clear(): void {
    this.#repetitions = [];
    this.#definitions = [];
    this.#values = [];
  }

  /** Where the next row begins in what was read. */
  mark(): Mark {
    return { entries: this.#repetitions.length, values: this.#values.length };
  }

  /** Forgets what was read since a mark. */
  backTo(mark: Mark | undefined): void {
    if (mark === undefined) return;
    this.#repetitions.length = mark.entries;
    this.#definitions.length = mark.entries;
    this.#values.length = mark.values;
  }

  /** Its lists in the rows that were read, as hyparquet puts columns together. */
  assembled(): Values & unknown[] {
    return this.#hyparquet.assembleLists(
      [],
      this.#definitions,
      this.#repetitions,
      this.#values,
      this.#decoder.schemaPath,
    ) as unknown[];
  }
}

interface Mark {
  entries: number;
  values: number;
}
