/** Parts of a JSON Lines file, by byte range: cut in one pass, and read without what is before them. */

import { createHash, type Hash } from 'node:crypto';
import { closeSync, statSync } from 'node:fs';
import { UserError } from '../lib/errors.js';
import { cooperativePause, endOfLine, fileProblem, openInput, readAt, readBlocks } from '../lib/files.js';
import { skipSpace } from '../lib/json-scan.js';
import { sanitize } from '../lib/text.js';
import type { SourceRow } from '../types.js';
import { isBlank as isBlankLine, readLine } from './local-jsonl.js';
import { LONGEST_ROW_BYTES } from './row-limits.js';
import { splitLines } from './text-lines.js';

const PIECE_BYTES = 1 << 18;
const UTF8_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Whole lines of a file. */
export interface LineRange {
  /** Bytes from the file's start: inclusive and exclusive. */
  from: number;
  to: number;
  /** The number of the first line, counted from 1. */
  line: number;
  /** SHA-256 of the bytes, hexadecimal. */
  sha256: string;
}

/**
 * Cuts a UTF-8 file into ranges with the given numbers of rows; blank lines are no rows.
 * @param offset rows before the first range
 * @throws UserError where the file has fewer rows
 */
export async function cutLines(
  path: string,
  offset: number,
  sizes: readonly number[],
  onProgress: (rows: number) => void = () => undefined,
): Promise<LineRange[]> {
  const ranges: LineRange[] = [];
  const cutter = new LineCutter(path, offset, sizes, ranges);
  const pause = cooperativePause();
  let isDone = false;
  for (const { bytes, offset: at, isCut } of readBlocks(path, LONGEST_ROW_BYTES)) {
    isDone = isCut ? cutter.takeLong(at) : cutter.take(bytes, at);
    if (isDone) break;
    onProgress(cutter.rows);
    await pause();
  }
  if (!isDone) cutter.end();
  if (ranges.length < sizes.length)
    throw new UserError(
      `${sanitize(path, 300)} changed while it was being read. Run plan again when nothing writes to it.`,
    );
  return ranges;
}

class LineCutter {
  rows = 0;
  #line = 0;
  #offset = 0;
  /** Where a line begins that is too long to be held, and has not been hashed yet; null where there is none. */
  #long: number | null = null;
  /** The range that is being read. */
  #open: { from: number; line: number; hash: Hash; endRow: number } | null = null;

  constructor(
    private readonly path: string,
    private readonly before: number,
    private readonly sizes: readonly number[],
    private readonly ranges: LineRange[],
  ) {}

  /** Takes whole lines; true where no more are wanted. */
  take(block: Buffer, at: number): boolean {
    this.#endLong(at);
    let hashed = 0;
    for (let next = 0; next < block.length;) {
      // A byte order mark belongs to no row.
      const start = at + next === 0 && block.subarray(0, 3).equals(UTF8_MARK) ? 3 : next;
      const end = endOfLine(block, start);
      next = end + 1;
      this.#line += 1;
      if (isBlank(block, start, end)) continue;
      if (this.#isAtCut) {
        this.#open?.hash.update(block.subarray(hashed, start));
        this.#close(at + start);
        if (this.ranges.length === this.sizes.length) return true;
        this.#begin(at + start);
        hashed = start;
      }
      this.rows += 1;
    }
    this.#open?.hash.update(block.subarray(hashed));
    this.#offset = at + block.length;
    return false;
  }

  /** Takes a line that is too long for a row, of which only the beginning was read; it ends where the next one begins. */
  takeLong(at: number): boolean {
    this.#endLong(at);
    this.#line += 1;
    if (this.#isAtCut) {
      this.#close(at);
      if (this.ranges.length === this.sizes.length) return true;
      this.#begin(at);
    }
    this.rows += 1;
    this.#long = at;
    return false;
  }

  get #isAtCut(): boolean {
    return this.#open === null ? this.rows === this.before : this.rows === this.#open.endRow;
  }

  #endLong(at: number): void {
    if (this.#long === null) return;
    const range = { from: this.#long, to: at };
    this.#long = null;
    this.#offset = at;
    if (this.#open === null) return;
    for (const piece of piecesOf(this.path, range)) this.#open.hash.update(piece);
  }

  /** The file ended. */
  end(): void {
    this.#endLong(statSync(this.path).size);
    if (this.#open !== null && this.rows === this.#open.endRow) this.#close(this.#offset);
  }

  #begin(from: number): void {
    const rows = this.sizes[this.ranges.length] ?? 0;
    this.#open = { from, line: this.#line, hash: createHash('sha256'), endRow: this.rows + rows };
  }

  #close(to: number): void {
    if (this.#open === null) return;
    const { from, line, hash } = this.#open;
    this.ranges.push({ from, to, line, sha256: hash.digest('hex') });
    this.#open = null;
  }
}

function isBlank(block: Buffer, start: number, end: number): boolean {
  // A line that is too long for a row still counts as one, whatever is in it.
  if (end - start > LONGEST_ROW_BYTES) return false;
  // Most lines show in their first byte that they are not.
  return (
    start === end || ((block[start] ?? 0) <= 0x20 && skipSpace(block.subarray(start, end), 0) === end - start)
  );
}

/** A range to read, and what is known of it. */
export interface PlannedLines {
  path: string;
  range: LineRange;
  /** The number of its first row in the dataset. */
  firstRow: number;
  rows: number;
  /** The columns that are used. */
  columns: readonly string[];
}

/**
 * The rows of a range. That they are those which were planned is known only at the end, so nothing may be done with them
 * before.
 * @throws UserError where the file has changed
 */
export async function* readLineRange(
  { path, range, firstRow, rows, columns }: PlannedLines,
  signal?: AbortSignal,
): AsyncGenerator<SourceRow> {
  const hash = createHash('sha256');
  const file = { path, shown: path, encoding: 'utf-8' as const };
  let index = firstRow;
  const from = { number: range.line, offset: range.from };
  for await (const lines of splitLines(hashed(piecesOf(path, range), hash), signal, from)) {
    for (const line of lines) {
      if (isBlankLine(line)) continue;
      yield readLine(line, index, file, columns);
      index += 1;
    }
  }
  if (hash.digest('hex') === range.sha256 && index === firstRow + rows) return;
  throw new UserError(
    `${sanitize(path, 300)} has changed since it was planned: rows ${firstRow} to ${firstRow + rows - 1} (bytes ` +
      `${range.from} to ${range.to}) differ. Restore the earlier file, or plan the new one as a run of its own (--run_name NAME).`,
  );
}

function* hashed(pieces: Iterable<Buffer>, hash: Hash): Generator<Buffer> {
  for (const piece of pieces) {
    hash.update(piece);
    yield piece;
  }
}

/** Bytes of a file; each piece is valid until the next one. */
function* piecesOf(path: string, { from, to }: Pick<LineRange, 'from' | 'to'>): Generator<Buffer> {
  let descriptor: number;
  try {
    descriptor = openInput(path);
  } catch (error) {
    throw fileProblem(error, `read ${sanitize(path, 300)}`);
  }
  try {
    const buffer = Buffer.allocUnsafe(PIECE_BYTES);
    for (let offset = from; offset < to;) {
      const piece = readAt(descriptor, offset, Math.min(PIECE_BYTES, to - offset), buffer);
      if (piece.length === 0) return;
      offset += piece.length;
      yield piece;
    }
  } finally {
    closeSync(descriptor);
  }
}
