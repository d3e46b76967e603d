/** What the program and its decoder of Parquet and Arrow say to each other. Each question has one answer, with the same number. */

/** What a decoder reads. */
export type DecodedFormat = 'Parquet' | 'Arrow';

/** Files that a decoder keeps open: their metadata are in its memory, and a dataset may have a hundred thousand. */
export const MOST_OPEN_FILES = 100;

/** Forgets the file that was opened first where there are too many. Both sides do, so that they agree on which are open. */
export function forgetFirst(files: {
  size: number;
  keys: () => Iterator<number>;
  delete: (file: number) => boolean;
}): void {
  const first = files.keys().next();
  if (files.size > MOST_OPEN_FILES && first.done !== true) files.delete(first.value);
}

/** Where the decoder gets bytes from: a path of its own, or the program (`size` bytes, by ranges). */
export type ParquetSource = { path: string } | { size: number };

/** What is known of an open file. */
export interface FileFacts {
  readonly columns: string[];
  readonly rows: number;
  /** Rows of each row group or record batch. */
  readonly groups: readonly number[];
  /** True where the file has more columns than are known. */
  readonly isCut: boolean;
}

export type Question =
  | { kind: 'open'; file: number; source: ParquetSource; title: string; format: DecodedFormat }
  /** Starts reading rows; the rows come with `next`. */
  | { kind: 'read'; file: number; columns: readonly string[]; start: number; end: number }
  | { kind: 'next' };

export type ToDecoder =
  | (Question & { number: number })
  /** Bytes that the decoder asked for. */
  | { kind: 'bytes'; bytes: Uint8Array };

export type Answer =
  | ({ kind: 'opened' } & FileFacts)
  | { kind: 'started' }
  /**
   * Cells row by row, in the order of `columns`, or what a row has too much of; about how many bytes they hold; `ended` where
   * no more follow.
   */
  | { kind: 'rows'; columns: string[]; rows: (unknown[] | string)[]; size: number; ended: boolean }
  /** The file is at fault: a sentence. */
  | { kind: 'refused'; message: string };

export type FromDecoder =
  | (Answer & { number: number })
  | { kind: 'range'; file: number; start: number; end: number }
  /** What is decoded from now on, for a sentence should it end the decoder, and the bytes read since the last rows. */
  | { kind: 'place'; place: string; bytes: number };
