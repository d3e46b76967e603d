/**
 * Result files that are not plain JSON Lines. They are brought into that form once, right after their download, so that
 * everything that reads them reads lines.
 */

import { closeSync, createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { systemErrorCode, UserError } from '../lib/errors.js';
import { endOfValue, OPEN_BRACE } from '../lib/json-scan.js';
import { breathe, openFile, readAt, readLines, replaceFile, type BufferedFile } from '../lib/files.js';
import type { Redactor } from '../secrets/redactor.js';

/** Enough to see how a file begins. */
const HEAD_BYTES = 4096;
/** A file of 50,000 answers of 64,000 tokens unpacks to less. */
const MOST_BYTES = 16 * 2 ** 30;
/** Large, so that an answer is seldom in more than one. */
const PIECE_BYTES = 1 << 22;
const MOST_LINE_BYTES = 1 << 28;
const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;

/**
 * Makes a downloaded file JSON Lines where it is something else that can be read: compressed with gzip (some servers
 * store it like that and say nothing), an array of results, or results that are indented over several lines.
 */
export async function unpackResults(path: string, redactor: Redactor): Promise<void> {
  if (isGzip(headOf(path))) await unzip(path, redactor);
  const start = headOf(path)
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .trimStart();
  if (start.startsWith('[') || /^\{\s*\n/.test(start)) await writeAsLines(path);
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

async function unzip(path: string, redactor: Redactor): Promise<void> {
  const isWhole = await orAsItWas(async (file) => {
    let size = 0;
    await pipeline(createReadStream(path), createGunzip(), async (pieces: AsyncIterable<Buffer>) => {
      for await (const piece of pieces) {
        size += piece.length;
        if (size > MOST_BYTES)
          throw new UserError(`${path} unpacks to more than 16 GB, which no batch does.`);
        file.write(piece);
      }
    });
  }, path);
  if (!isWhole) return;
  // Keys that a server echoed could not be seen in the compressed file.
  await replaceFile(path, (file) => {
    for (const { bytes, complete } of readLines(path)) {
      file.write(redactor.bytes(bytes));
      if (complete) file.write('\n');
    }
  });
}

/** Writes each object of a JSON text as a line: the items of an array, or objects that follow each other. */
async function writeAsLines(path: string): Promise<void> {
  await orAsItWas(async (file) => {
    let pending = Buffer.alloc(0);
    for await (const piece of createReadStream(path, { highWaterMark: PIECE_BYTES })) {
      const bytes = Buffer.concat([pending, piece as Buffer]);
      pending = Buffer.from(bytes.subarray(writeObjects(bytes, file)));
      if (pending.length > MOST_LINE_BYTES) throw new Error('a result is larger than any answer');
      await breathe();
    }
    if (!/^[\s,\]]*$/.test(pending.toString('utf8'))) throw new Error('the last result is torn');
  }, path);
}

/** Writes the objects that are whole, and returns where the first one starts that is not. */
function writeObjects(bytes: Buffer, file: BufferedFile): number {
  for (let at = 0; ;) {
    const start = bytes.indexOf(OPEN_BRACE, at);
    const end = start === -1 ? -1 : endOfValue(bytes, start);
    const between = bytes.subarray(at, start === -1 ? bytes.length : start).toString('utf8');
    if (!/^[\s,[\]\uFEFF]*$/.test(between)) throw new Error('text stands between the results');
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
 * @returns whether the file was rewritten
 */
async function orAsItWas(write: (file: BufferedFile) => Promise<void>, path: string): Promise<boolean> {
  try {
    await replaceFile(path, async (file) => {
      try {
        await write(file);
      } catch (error) {
        // Codes of zlib are not those of a disk.
        const isDamage = !(error instanceof UserError) && /^Z_|^$/.test(systemErrorCode(error) ?? '');
        throw isDamage ? new Damaged() : error;
      }
    });
    return true;
  } catch (error) {
    if (error instanceof Damaged) return false;
    throw error;
  }
}

class Damaged extends Error {}
