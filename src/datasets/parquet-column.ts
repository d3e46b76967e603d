/** A flat column of one row group, value by value: no more than some pages of it are in memory. */

import { noteDiscarded } from '../lib/memory.js';
import { undecodable } from './parquet-errors.js';
import {
  chunkOf,
  ColumnPages,
  decoderOf,
  openLongPage,
  readerOf,
  type Decoder,
  type LeafPlace,
  type OpenParquet,
  type Values,
} from './parquet-pages.js';
import type { LongPage } from './parquet-runs.js';
import { exactValue, withoutDecimals } from './parquet-values.js';

const FETCH_BYTES = 1 << 20;

/** Reads one flat column of one row group from its first value on. */
export class ColumnCursor {
  readonly column: string;
  readonly #pages: ColumnPages;
  readonly #decoder: Decoder;
  readonly #exact: ((value: unknown) => unknown) | null;
  #values: Values = [];
  /** A page that is too large to be decoded at once; it takes the place of `#values`. */
  #long: LongPage | null = null;
  #index = 0;

  /** @param place in the file, for messages */
  constructor(
    private readonly open: Pick<OpenParquet, 'hyparquet' | 'file' | 'title'>,
    leaf: LeafPlace,
    readonly place: string,
  ) {
    const { hyparquet, title } = open;
    const chunk = chunkOf(title, leaf, hyparquet);
    this.column = leaf.path.join('.');
    // The decoder would make decimals floating-point numbers.
    const isDecimal = chunk.element.converted_type === 'DECIMAL';
    const element = isDecimal ? withoutDecimals(chunk.element) : chunk.element;
    this.#decoder = { ...decoderOf(hyparquet, chunk), element, utf8: !isDecimal };
    this.#exact = exactValue(chunk.element);
    this.#pages = new ColumnPages(open, this.#decoder, chunk.metadata, FETCH_BYTES);
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
      throw this.#problem(error);
    }
  }

  /** Decodes pages until there is a value. */
  async load(): Promise<void> {
    this.#index = 0;
    this.#values = [];
    this.#long = null;
    try {
      while (!this.ready) await this.#page();
    } catch (error) {
      throw this.#problem(error);
    }
  }

  async #page(): Promise<void> {
    const { hyparquet } = this.open;
    const page = await this.#pages.next();
    const { header, bytes, dictionary } = page;
    noteDiscarded(bytes.length + header.uncompressed_page_size);
    if (page.isLong) this.#long = openLongPage(hyparquet, this.#decoder, page);
    else {
      const { data } = hyparquet.readPage(readerOf(bytes), header, this.#decoder, dictionary, undefined, 0);
      this.#values = data ?? [];
    }
  }

  #problem(error: unknown): Error {
    return undecodable(this.open.title, error, { columns: [this.column], place: this.place });
  }
}
