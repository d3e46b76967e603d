/** Files that people write by hand. */

import { isUtf8 } from 'node:buffer';
import { closeSync, fstatSync, readSync } from 'node:fs';
import { systemErrorCode } from './errors.js';
import { kindOfFile, openWithoutWaiting } from './files.js';
import { count } from './text.js';

/** Far more than all flags, variables or a schema need. */
const LARGEST_FILE = 1 << 20;
/** How long a pipe may be silent, such as that of `--env_file <(op inject …)`, which asks for a password first. */
const PIPE_SILENCE_MS = 60_000;
const PIPE_LOOK_MS = 20;

/**
 * The text of a small file, without a byte order mark.
 * @throws a system error, or an error that says what is wrong: it is too large, or not text
 */
export function readSmallFile(path: string): string {
  const bytes = readSmallBytes(path);
  if (!isUtf8(bytes) || bytes.includes(0)) throw new Error('it is not text in UTF-8');
  return bytes.toString('utf8').replace(/^\uFEFF/, '');
}

/**
 * The bytes of a small file, or of a pipe such as a shell's `<(command)`.
 * @param most bytes; of anything larger no more is read
 * @throws a system error, or an error that says what is wrong
 */
export function readSmallBytes(path: string, most = LARGEST_FILE): Buffer {
  const descriptor = openWithoutWaiting(path);
  try {
    const found = fstatSync(descriptor);
    const kind = kindOfFile(found);
    if (kind === 'folder') throw Object.assign(new Error('it is a folder'), { code: 'EISDIR' });
    if (kind === 'socket') throw new Error('it is a socket, not a file');
    if (found.size > most) throw tooLarge(most);
    const bytes = readUpTo(descriptor, most);
    if (bytes.length === 0 && kind === 'named pipe') throw new Error('nothing came out of this pipe');
    return bytes;
  } finally {
    closeSync(descriptor);
  }
}

function readUpTo(descriptor: number, most: number): Buffer {
  const pieces: Buffer[] = [];
  let size = 0;
  for (;;) {
    const piece = Buffer.allocUnsafe(1 << 16);
    const length = readOrWait(descriptor, piece);
    if (length === 0) return Buffer.concat(pieces);
    size += length;
    if (size > most) throw tooLarge(most);
    pieces.push(piece.subarray(0, length));
  }
}

/** @returns how many bytes were read; 0 at the end */
function readOrWait(descriptor: number, buffer: Buffer): number {
  const until = performance.now() + PIPE_SILENCE_MS;
  for (;;) {
    try {
      return readSync(descriptor, buffer);
    } catch (error) {
      if (systemErrorCode(error) !== 'EAGAIN') throw error;
      if (performance.now() > until)
        throw new Error('nothing was written to this pipe for a minute', { cause: error });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PIPE_LOOK_MS);
    }
  }
}

function tooLarge(most: number): Error {
  return new Error(`the file is larger than ${count(most)} bytes`);
}
