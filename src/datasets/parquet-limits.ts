/**
 * What a Parquet file may claim of itself before anything is allocated for it. A page of a few bytes can claim hundreds
 * of millions of values (run-length encoding), so claims are compared with the bytes that are really there; what is
 * small in absolute terms passes whatever its ratio.
 *
 * Honest writers stay far below: parquet-mr and Spark write 20,000 rows a page, DuckDB 122,880 and polars 262,144 rows a
 * row group, pyarrow 1,048,576 (`write_table`, `row_group_size`), and pages of about 1 MB.
 */

/** The metadata at a file's end. Ten columns in 10,000 row groups need about 20 MB. */
export const LARGEST_FOOTER_BYTES = 64 << 20;
/** A page, compressed and not. */
const LARGEST_PAGE_BYTES = 1 << 30;
/** Uncompressed bytes of a page that pass whatever it was compressed to. */
const FREE_PAGE_BYTES = 64 << 20;
/** Values of a page that pass whatever its size: four row groups of pyarrow in one run. */
export const FREE_PAGE_VALUES = 4 << 20;
/** The same for a page that is read one value after the other: the largest row group of pyarrow before version 12. */
const FREE_RUN_VALUES = 64 << 20;
/** The same for all of a nested column in a row group. */
const FREE_GROUP_VALUES = 16 << 20;
const FREE_GROUP_BYTES = 256 << 20;
/** How much larger than its compressed bytes anything larger may be. */
const RATIO = 64;
/** Plain values take a bit each at least. */
const VALUES_A_BYTE = 8;

/** The parts of a page's header that claim sizes. */
interface PageClaims {
  type: string | undefined;
  compressed_page_size: number;
  uncompressed_page_size: number;
  data_page_header?: { num_values: number } | undefined;
  data_page_header_v2?:
    | {
        num_values: number;
        num_nulls: number;
        num_rows: number;
        definition_levels_byte_length: number;
        repetition_levels_byte_length: number;
      }
    | undefined;
  dictionary_page_header?: { num_values: number } | undefined;
}

/**
 * @param isReadInRuns true where its values take no memory each
 * @throws Error where a page claims more than its bytes can hold
 */
export function checkPage(header: PageClaims, isReadInRuns: boolean): void {
  const { compressed_page_size: compressed, uncompressed_page_size: uncompressed } = header;
  if (!isWithin(compressed, LARGEST_PAGE_BYTES)) throw new Error(`a page claims ${compressed} bytes`);
  const mostBytes = Math.min(LARGEST_PAGE_BYTES, Math.max(FREE_PAGE_BYTES, RATIO * compressed));
  if (!isWithin(uncompressed, mostBytes)) {
    throw new Error(`a page of ${compressed} bytes claims to unpack to ${uncompressed} bytes`);
  }
  const { data_page_header: data, data_page_header_v2: data2, dictionary_page_header: dictionary } = header;
  const values = data?.num_values ?? data2?.num_values ?? dictionary?.num_values ?? 0;
  const free = isReadInRuns ? FREE_RUN_VALUES : FREE_PAGE_VALUES;
  const mostValues =
    dictionary === undefined ? Math.max(free, RATIO * compressed) : VALUES_A_BYTE * uncompressed;
  if (!isWithin(values, mostValues)) {
    throw new Error(`a page of ${compressed} bytes claims to hold ${values} values`);
  }
  if (data2 === undefined) return;
  const levels = data2.definition_levels_byte_length + data2.repetition_levels_byte_length;
  if (
    !isWithin(data2.num_nulls, values) ||
    !isWithin(data2.num_rows, values) ||
    !isWithin(levels, compressed)
  )
    throw new Error('a page contradicts itself');
}

/** The parts of a column's metadata in one row group that claim sizes. */
interface ChunkClaims {
  num_values: bigint;
  total_compressed_size: bigint;
  total_uncompressed_size: bigint;
}

/**
 * The same for a column of lists or structs, all of whose values are read before a row can be known to be too large.
 * @throws Error where it claims more than its bytes can hold
 */
export function checkChunk(chunk: ChunkClaims): void {
  const compressed = Number(chunk.total_compressed_size);
  const uncompressed = Number(chunk.total_uncompressed_size);
  const values = Number(chunk.num_values);
  if (!isWithin(uncompressed, Math.max(FREE_GROUP_BYTES, RATIO * compressed)))
    throw new Error(`${compressed} bytes claim to unpack to ${uncompressed} bytes`);
  if (!isWithin(values, Math.max(FREE_GROUP_VALUES, RATIO * compressed)))
    throw new Error(`${compressed} bytes claim to hold ${values} values`);
}

function isWithin(value: number, most: number): boolean {
  return value >= 0 && value <= most;
}
