/**
 * Result files that are not plain JSON Lines. They are brought into that form once, right after their download, so that
 * everything that reads them reads lines. What is in the lines is cleaned after that (`clean-lines.ts`).
 */

import { closeSync, createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { systemErrorCode, UserError } from '../lib/errors.js';
import { Interrupted } from './calls.js';
import { endOfValue, OPEN_BRACE } from '../lib/json-scan.js';
import { yieldToEventLoop, openFile, readAt, replaceFile, type BufferedFile } from '../lib/files.js';

/** Enough to see how a file begins. */
const HEAD_BYTES = 4096;
/** Large, so that an answer is seldom in more than one. */
const PIECE_BYTES = 1 << 22;
const MOST_LINE_BYTES = 1 << 26;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;

/** A file that is larger than what was requested can be. */
export class FileTooLarge extends Error {
  override readonly name = 'FileTooLarge';
}

/**
 * Makes a downloaded file JSON Lines where it is something else that can be read: compressed with gzip (some servers
 * store it like that and say nothing), an array of results, or results that are indented over several lines.
 * @throws FileTooLarge where it unpacks to more than `mostBytes`, or Interrupted
 */
export async function makeLines(path: string, mostBytes: number, signal: AbortSignal): Promise<void> {
  if (isGzip(headOf(path))) await unzip(path, mostBytes, signal);
  const start = headOf(path)
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .trimStart();
  if (start.startsWith('[') || /^\{\s*\n/.test(start)) await writeAsLines(path, signal);
}

function headOf(path: string): Buffer {
  const descriptor = openFile(path, 'read');
  try {
    return readAt(descriptor, 0, HEAD_BYTES);
  } finally {
    closeSync(descriptor);
  }
}

function isGzip(head: Buffer): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

async function unzip(path: string, mostBytes: number, signal: AbortSignal): Promise<void> {
  await orAsItWas(async (file) => {
    let size = 0;
    const packed = createReadStream(path);
    const unpacked = createGunzip();
    packed.on('error', (error) => unpacked.destroy(error)).pipe(unpacked);
    try {
      for await (const piece of unpacked) {
        if (signal.aborted) throw new Interrupted();
        size += (piece as Buffer).length;
        if (size > mostBytes) throw new FileTooLarge(`unpacks to more than ${mostBytes} bytes`);
        file.write(piece as Buffer);
      }
    } finally {
      packed.destroy();
    }
  }, path);
}

/** Writes each object of a JSON text as a line: the items of an array, or objects that follow each other. */
async function writeAsLines(path: string, signal: AbortSignal): Promise<void> {
  await orAsItWas(async (file) => {
    let pending = Buffer.alloc(0);
    for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES })) {
      if (signal.aborted) throw new Interrupted();
      const bytes = Buffer.concat([pending, piece as Buffer]);
      pending = Buffer.from(bytes.subarray(writeObjects(bytes, file)));
      if (pending.length > MOST_LINE_BYTES) throw new Error('a result is larger than any answer can be');
      await yieldToEventLoop();
    }
    if (!/^[\s,\]]*$/.test(pending.toString('utf8'))) throw new Error('the last result is incomplete');
  }, path);
}

/** Writes the objects that are whole, and returns where the first one starts that is not. */
function writeObjects(bytes: Buffer, file: BufferedFile): number {
  for (let at = 0; ;) {
    const start = bytes.indexOf(OPEN_BRACE, at);
    const end = start === -1 ? -1 : endOfValue(bytes, start);
    const between = bytes.subarray(at, start === -1 ? bytes.length : start).toString('utf8');
    if (!/^[\s,[\]\uFEFF]*$/.test(between)) throw new Error('there is text between the results');
    if (end === -1) return start === -1 ? bytes.length : start;
    // Line ends stand between a value's parts alone: inside a string they are escaped.
    file.write(
      bytes.subarray(start, end).map((byte) => (byte === NEWLINE || byte === RETURN ? SPACE : byte)),
    );
    file.write('\n');
    at = end;
  }
}

/**
 * Rewrites a file; one that turns out to be damaged stays as it was, and its lines are reported as unreadable.
 */
async function orAsItWas(write: (file: BufferedFile) => Promise<void>, path: string): Promise<void> {
  try {
    await replaceFile(path, async (file) => {
      try {
        await write(file);
      } catch (error) {
        // Codes of zlib are not those of a disk.
        const isDamage =
          !(error instanceof FileTooLarge || isStop(error)) && /^Z_|^$/.test(systemErrorCode(error) ?? '');
        throw isDamage ? new Damaged() : error;
      }
    });
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
  }
}

class Damaged extends Error {}

function isStop(error: unknown): boolean {
  return error instanceof Interrupted || error instanceof UserError;
}
