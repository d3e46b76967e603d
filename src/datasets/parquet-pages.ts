/** The pages of a column in one row group, fetched and checked one after the other. */

import type {
  AsyncBuffer,
  ColumnMetaData,
  FileMetaData,
  RowGroup,
  SchemaElement,
  SchemaTree,
} from 'hyparquet';
import { sanitize } from '../lib/text.js';
import { damaged, encrypted } from './parquet-errors.js';
import { checkPage, FREE_PAGE_VALUES } from './parquet-limits.js';
import { isReadInRuns, LongPage } from './parquet-runs.js';
import { PARSERS } from './parquet-values.js';
import type { RowLimits } from './row-limits.js';

export type Hyparquet = Awaited<ReturnType<typeof loadHyparquet>>;
export type Decoder = Parameters<Hyparquet['readPage']>[2];
export type Header = ReturnType<Hyparquet['parquetHeader']>;
export type Values = ArrayLike<unknown>;
type Dictionary = Parameters<Hyparquet['readPage']>[3];

const LONGEST_HEADER_BYTES = 16 << 20;
/** Pages that unpack to more are read one value after the other: DuckDB writes pages of 100 MB. */
const WHOLE_PAGE_BYTES = 16 << 20;

const NO_BYTES = new Uint8Array(0);

export async function loadHyparquet() {
  const [main, column, schema, convert, datapage, plain, assemble, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet/src/column.js'),
    import('hyparquet/src/schema.js'),
    import('hyparquet/src/convert.js'),
    import('hyparquet/src/datapage.js'),
    import('hyparquet/src/plain.js'),
    import('hyparquet/src/assemble.js'),
    import('hyparquet-compressors'),
  ]);
  const { decompressPage, readDataPage, readDataPageV2 } = datapage;
  const { assembleLists, assembleNested } = assemble;
  const { readPlain } = plain;
  return {
    ...main,
    ...column,
    ...schema,
    ...convert,
    decompressPage,
    readDataPage,
    readDataPageV2,
    assembleLists,
    assembleNested,
    readPlain,
    compressors,
  };
}

/** A file whose footer was read, and what decodes it. */
export interface OpenParquet {
  hyparquet: Hyparquet;
  file: AsyncBuffer;
  metadata: FileMetaData;
  /** The file's name for messages. */
  title: string;
  /** Called with what is decoded next. */
  onPlace: (place: string) => void;
  /** What a row of nested columns may have; one that has more becomes an `ExcessiveRow`. */
  limits: RowLimits;
}

/** A column without further columns in it, within one row group. */
export interface LeafPlace {
  group: RowGroup;
  tree: SchemaTree;
  /** Its names from the outermost on: one for a flat column. */
  path: readonly string[];
}

/** A column's part of a row group, as the metadata describes it. */
export interface Chunk {
  metadata: ColumnMetaData;
  schemaPath: SchemaTree[];
  element: SchemaElement;
}

/** @throws UserError where the column is encrypted, or missing in the row group */
export function chunkOf(title: string, { group, tree, path }: LeafPlace, hyparquet: Hyparquet): Chunk {
  const name = path.join('.');
  const chunk = group.columns.find((one) => one.meta_data?.path_in_schema.join('.') === name);
  if (chunk?.crypto_metadata !== undefined) throw encrypted(title, `its column "${sanitize(name, 60)}"`);
  const metadata = chunk?.meta_data;
  if (metadata === undefined) throw damaged(title, new Error(`column ${name} is missing in a row group`));
  const schemaPath = hyparquet.getTreePath(tree, metadata.path_in_schema);
  const element = schemaPath.at(-1)?.element;
  if (element === undefined) throw damaged(title, new Error(`column ${name} is not in the schema`));
  return { metadata, schemaPath, element };
}

/** The decoder's parsers of typed values, with ours for those that it would make inexact. */
export function parsersOf(hyparquet: Hyparquet) {
  return { ...hyparquet.DEFAULT_PARSERS, ...PARSERS };
}

/** What decodes the values of a column. */
export function decoderOf(hyparquet: Hyparquet, { metadata, schemaPath, element }: Chunk): Decoder {
  return {
    pathInSchema: metadata.path_in_schema,
    element,
    schemaPath,
    type: metadata.type,
    codec: metadata.codec,
    compressors: hyparquet.compressors,
    parsers: parsersOf(hyparquet),
  };
}

/** A page of data. Its bytes are as they are in the file. */
export interface Page {
  header: Header;
  bytes: Uint8Array;
  dictionary: Dictionary;
  /** True where it is to be read one value after the other, since its values take too much memory all at once. */
  isLong: boolean;
}

/** Reads a column's pages in their order. */
export class ColumnPages {
  #position: number;
  readonly #end: number;
  /** Bytes that were fetched and not used yet. */
  #bytes: Uint8Array = NO_BYTES;
  #dictionary: Dictionary;

  /**
   * @param fetchBytes how many bytes are read at a time
   * @param wholePageValues how many values a page may have that is decoded at once
   */
  constructor(
    private readonly open: Pick<OpenParquet, 'hyparquet' | 'file'>,
    private readonly decoder: Decoder,
    metadata: ColumnMetaData,
    private readonly fetchBytes: number,
    private readonly wholePageValues = FREE_PAGE_VALUES,
  ) {
    // Some writers put 0 where there is no dictionary (apache/parquet-testing, dict-page-offset-zero.parquet).
    this.#position = Number(metadata.dictionary_page_offset ?? 0) || Number(metadata.data_page_offset);
    this.#end = this.#position + Number(metadata.total_compressed_size);
  }

  /** True where no page is left. */
  get ended(): boolean {
    return this.#bytes.length === 0 && this.#position >= this.#end;
  }

  /**
   * The next page of data.
   * @throws Error where there is none, or it claims more than it holds
   */
  async next(): Promise<Page> {
    for (;;) {
      if (this.ended) throw new Error('it ends too early');
      const { header, length } = await this.#header();
      const size = header.compressed_page_size;
      const inRuns = isReadInRuns(header, this.decoder.type === 'BOOLEAN');
      checkPage(header, inRuns);
      await this.#fetch(length + size);
      const bytes = this.#take(length, size);
      if (header.type !== 'DICTIONARY_PAGE') {
        const isLarge =
          entriesOf(header) > this.wholePageValues || header.uncompressed_page_size > WHOLE_PAGE_BYTES;
        return { header, bytes, dictionary: this.#dictionary, isLong: inRuns && isLarge };
      }
      this.#dictionary = this.#readDictionary(header, bytes);
    }
  }

  #readDictionary(header: Header, bytes: Uint8Array): Dictionary {
    const { hyparquet } = this.open;
    const page = hyparquet.readPage(readerOf(bytes), header, this.decoder, undefined, undefined, 0);
    return page.data === undefined ? undefined : hyparquet.convert(page.data, this.decoder);
  }

  /** The next page's header and its length in bytes; a header that is cut off is read again with more bytes. */
  async #header(): Promise<{ header: Header; length: number }> {
    for (let wanted = 1024; ; wanted *= 4) {
      const complete = await this.#fetch(wanted);
      const reader = readerOf(this.#bytes);
      try {
        return { header: this.open.hyparquet.parquetHeader(reader), length: reader.offset };
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
    if (missing > WHOLE_PAGE_BYTES) {
      // To put it together would take twice its memory: what is there of it is read again.
      this.#position -= this.#bytes.length;
      this.#bytes = NO_BYTES;
    }
    const least = wanted - this.#bytes.length;
    const length = Math.min(Math.max(least, this.fetchBytes), this.#end - this.#position);
    if (length > 0) {
      const fetched = new Uint8Array(await this.open.file.slice(this.#position, this.#position + length));
      if (fetched.length === 0) throw new Error('the file ends too early');
      this.#bytes = this.#bytes.length === 0 ? fetched : join(this.#bytes, fetched);
      this.#position += fetched.length;
    }
    return this.#bytes.length >= wanted;
  }

  /** Takes bytes that were fetched; none of their memory is kept once all are taken. */
  #take(skipped: number, length: number): Uint8Array {
    const end = skipped + length;
    const taken = this.#bytes.subarray(skipped, end);
    this.#bytes = this.#bytes.length === end ? NO_BYTES : this.#bytes.subarray(end);
    return taken;
  }
}

/** A long page, opened. */
export function openLongPage(hyparquet: Hyparquet, decoder: Decoder, { header, bytes, dictionary }: Page) {
  const { type, element, schemaPath, codec } = decoder;
  // The WebAssembly decoder of Snappy would hold a second copy of the page, for good.
  const compressors = { ...decoder.compressors };
  delete compressors.SNAPPY;
  return new LongPage({
    header,
    bytes,
    highestRepetition: hyparquet.getMaxRepetitionLevel(schemaPath),
    highestDefinition: hyparquet.getMaxDefinitionLevel(schemaPath),
    dictionary,
    decompress: (packed, size) => hyparquet.decompressPage(packed, size, codec, compressors),
    plainReader: (plainBytes) => {
      const reader = readerOf(plainBytes);
      return (count) =>
        hyparquet.convert(hyparquet.readPlain(reader, type, count, element.type_length), decoder);
    },
  });
}

export function readerOf(bytes: Uint8Array): { view: DataView; offset: number } {
  return { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
}

/** Values of a page, nulls and empty lists included. */
function entriesOf({ data_page_header: first, data_page_header_v2: second }: Header): number {
  return first?.num_values ?? second?.num_values ?? 0;
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}
