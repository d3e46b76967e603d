/** Lines of text files, in bounded memory whatever their length. */

import { cooperativePause } from '../lib/files.js';
import { EXCERPT_BYTES, LONGEST_ROW_BYTES, type RawRow } from './row-limits.js';
import { utf8Pieces, type TextFile } from './text-file.js';

/** Where a line begins. */
export interface LinePlace {
  /** Counted from 1, blank lines included. */
  number: number;
  /** Bytes of text before it. */
  offset: number;
}

/** UTF-8 without the line end. */
export interface TextLine extends RawRow, LinePlace {}

const FIRST_LINE: LinePlace = { number: 1, offset: 0 };

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * The lines of a text file, split at `\n` alone, as many at a time as a piece of the file completes; a `\r` at a line's end
 * is dropped. They are valid until the next ones are requested.
 * @param from the line to begin with; other than the first one only in UTF-8
 */
export function textLines(
  file: TextFile,
  signal?: AbortSignal,
  from: LinePlace = FIRST_LINE,
): AsyncGenerator<TextLine[]> {
  return splitLines(utf8Pieces(file, from.offset), signal, from);
}

/**
 * The same for a text that comes in pieces.
 * @param from where the first piece begins
 */
export async function* splitLines(
  pieces: Iterable<Buffer>,
  signal?: AbortSignal,
  from: LinePlace = FIRST_LINE,
): AsyncGenerator<TextLine[]> {
  let { number, offset } = from;
  const begun = new BegunLine();
  const pause = cooperativePause();
  for (const piece of pieces) {
    const lines: TextLine[] = [];
    let start = 0;
    for (let end = piece.indexOf(LINE_FEED); end !== -1; end = piece.indexOf(LINE_FEED, start)) {
      const lineStart = offset + start - begun.length;
      const { bytes, isCut } = begun.endWith(piece.subarray(start, end));
      lines.push({ number, offset: lineStart, bytes, isCut });
      number += 1;
      start = end + 1;
    }
    begun.add(piece.subarray(start));
    offset += piece.length;
    if (lines.length > 0) yield lines;
    signal?.throwIfAborted();
    await pause();
  }
  if (begun.length > 0) {
    const place = { number, offset: offset - begun.length };
    yield [{ ...place, ...begun.endWith(Buffer.alloc(0)) }];
  }
}

/** What earlier pieces hold of a line; of one that is too long its beginning. */
class BegunLine {
  #parts: Buffer[] = [];
  /** Bytes of the line, whether they are kept or not. */
  length = 0;

  add(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.length += bytes.length;
    if (this.length <= LONGEST_ROW_BYTES) this.#parts.push(Buffer.from(bytes));
    else if (this.#parts.length > 1 || (this.#parts[0]?.length ?? 0) !== EXCERPT_BYTES)
      this.#parts = [excerptOf([...this.#parts, bytes])];
  }

  /** The whole line, whose last bytes are these; the next one begins. */
  endWith(bytes: Buffer): RawRow {
    if (this.length === 0) return { bytes: withoutReturn(bytes), isCut: false };
    this.add(bytes);
    const isCut = this.length > LONGEST_ROW_BYTES;
    const whole = Buffer.concat(this.#parts);
    this.#parts = [];
    this.length = 0;
    return { bytes: isCut ? whole : withoutReturn(whole), isCut };
  }
}

function excerptOf(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts.map((part) => part.subarray(0, EXCERPT_BYTES))).subarray(0, EXCERPT_BYTES);
}

function withoutReturn(line: Buffer): Buffer {
  return line[line.length - 1] === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
}
