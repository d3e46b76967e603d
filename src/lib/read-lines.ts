/** Files that are read in pieces, by lines and by places, in bounded memory. */

import { closeSync, fstatSync, readSync, statSync } from 'node:fs';
import { cooperativePause } from './event-loop.js';
import { fileProblem } from './file-errors.js';
import { lateCrypto } from './late-crypto.js';
import { openInput } from './open-file.js';

const CHUNK_BYTES = 1 << 18;
const LEAST_BUFFER_BYTES = 1 << 12;
const NEWLINE = 0x0a;

/** A line of a file, without its line end. */
export interface Line {
  /** Valid until the next line is requested: copy it to keep it. */
  bytes: Buffer;
  /** Where the line starts in the file. */
  offset: number;
  /** False for a last line that no newline ends. */
  complete: boolean;
  /** True where the line is longer than was asked for: `bytes` are its beginning. */
  isCut: boolean;
}

/** Lines that follow each other in a file. */
export interface LineBlock {
  /** Whole lines with their line ends, valid until the next block is asked for; the file's last may lack its own. */
  bytes: Buffer;
  /** Where the block starts in the file. */
  offset: number;
  /** True for the beginning of a line that is longer than was asked for, alone and without its line end. */
  isCut: boolean;
}

/** What is kept of a line that is too long. */
const EXCERPT_BYTES = 1024;

/**
 * A file in blocks of whole lines, about a megabyte each, read into one buffer. A loop over a block's lines costs a
 * fraction of a generator that gives them one by one.
 * @param longest bytes of a line; of a longer one only the beginning is given. It bounds the memory that is used.
 */
export function* readBlocks(path: string, longest = Infinity): Generator<LineBlock> {
  const descriptor = openInput(path);
  try {
    // Of many small files, each with a large buffer, the garbage would take longer than the reading.
    const { size } = fstatSync(descriptor);
    let buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Math.max(size + 1, LEAST_BUFFER_BYTES)));
    /** Bytes at the buffer's start: a line that has not ended yet. */
    let begun = 0;
    let offset = 0;
    for (;;) {
      const length = readPart(descriptor, buffer, begun, offset + begun, path);
      const filled = begun + length;
      const last = length === 0 ? filled : buffer.subarray(begun, filled).lastIndexOf(NEWLINE) + begun + 1;
      if (last > begun || length === 0) {
        if (last > 0) yield { bytes: buffer.subarray(0, last), offset, isCut: false };
        if (length === 0) return;
        buffer.copyWithin(0, last, filled);
        begun = filled - last;
        offset += last;
      } else {
        begun = filled;
        if (begun > longest) {
          yield { bytes: Buffer.from(buffer.subarray(0, EXCERPT_BYTES)), offset, isCut: true };
          offset = lineAfter(descriptor, offset + begun, buffer, path);
          begun = 0;
        } else if (begun === buffer.length) {
          const larger = Buffer.allocUnsafe(buffer.length * 2);
          buffer.copy(larger, 0, 0, begun);
          buffer = larger;
        }
      }
    }
  } finally {
    closeSync(descriptor);
  }
}

/** Where the next line starts, from some place inside a line on; the file's end where there is none. */
function lineAfter(descriptor: number, from: number, buffer: Buffer, path: string): number {
  for (let offset = from; ;) {
    const length = readPart(descriptor, buffer, 0, offset, path);
    const end = buffer.subarray(0, length).indexOf(NEWLINE);
    if (end !== -1) return offset + end + 1;
    if (length === 0) return offset;
    offset += length;
  }
}

function readPart(descriptor: number, buffer: Buffer, at: number, offset: number, path: string): number {
  try {
    return readSync(descriptor, buffer, at, buffer.length - at, offset);
  } catch (error) {
    throw fileProblem(error, `read ${path}`);
  }
}

/** Where the line that starts at `start` ends, exclusive; its newline is there unless the file ends first. */
export function endOfLine(block: Buffer, start: number): number {
  const end = block.indexOf(NEWLINE, start);
  return end === -1 ? block.length : end;
}

/**
 * The lines of a file, split at `\n` alone.
 * @param longest as for `readBlocks`
 */
export function* readLines(path: string, longest = Infinity): Generator<Line> {
  for (const { bytes, offset, isCut } of readBlocks(path, longest)) {
    if (isCut) {
      yield { bytes, offset, complete: true, isCut };
      continue;
    }
    for (let next = 0; next < bytes.length;) {
      const start = next;
      const end = endOfLine(bytes, start);
      next = end + 1;
      const isLong = end - start > longest;
      const line = bytes.subarray(start, isLong ? start + EXCERPT_BYTES : end);
      yield { bytes: line, offset: offset + start, complete: end < bytes.length, isCut: isLong };
    }
  }
}

/**
 * Reads bytes of an open file; fewer than asked for only where the file ends.
 * @param buffer what they are read into, where there is one already
 */
export function readAt(
  descriptor: number,
  offset: number,
  length: number,
  buffer: Buffer = Buffer.allocUnsafe(length),
): Buffer {
  let filled = 0;
  while (filled < length) {
    const read = readSync(descriptor, buffer, filled, length - filled, offset + filled);
    if (read === 0) break;
    filled += read;
  }
  return buffer.subarray(0, filled);
}

/** The first bytes of a file, as many as there are up to `length`. */
export function readStart(path: string, length: number): Buffer {
  const descriptor = openInput(path);
  try {
    return readAt(descriptor, 0, length);
  } finally {
    closeSync(descriptor);
  }
}

/** The last line of a file that is not empty, without its line end; no bytes where there is none. */
export function lastLine(path: string): Buffer {
  const { size } = statSync(path);
  const start = Math.max(0, size - CHUNK_BYTES);
  const descriptor = openInput(path);
  try {
    const tail = readAt(descriptor, start, size - start);
    let end = tail.length;
    while (tail[end - 1] === NEWLINE) end -= 1;
    const begin = tail.subarray(0, end).lastIndexOf(NEWLINE) + 1;
    if (begin < end && (begin > 0 || start === 0)) return tail.subarray(begin, end);
  } finally {
    closeSync(descriptor);
  }
  // It is longer than what was read, or that is empty.
  let last: Buffer = Buffer.alloc(0);
  for (const { bytes } of readLines(path)) if (bytes.length > 0) last = Buffer.from(bytes);
  return last;
}

/** The SHA-256 of a file, hexadecimal. */
export async function digestOfFile(path: string): Promise<string> {
  const hash = lateCrypto().createHash('sha256');
  const pause = cooperativePause();
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  const descriptor = openInput(path);
  try {
    for (let offset = 0; ;) {
      const length = readPart(descriptor, buffer, 0, offset, path);
      if (length === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, length));
      offset += length;
      await pause();
    }
  } finally {
    closeSync(descriptor);
  }
}
