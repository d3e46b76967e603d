/** Files that are written as a whole or not at all, and what a killed process leaves of them. */

import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { systemErrorCode, UserError } from './errors.js';
import { fileProblem } from './file-errors.js';
import { lateCrypto } from './late-crypto.js';
import { linkRefused, openFile } from './open-file.js';

const BUFFER_BYTES = 1 << 18;
const NEWLINE = 0x0a;
const LONGEST_NAME_KEPT = 60;

/** How temporary files end; what a killed process leaves half-written, the next run removes by this name. */
export const TEMPORARY_SUFFIX = '.reannotate-tmp';

const LEFTOVER = /^[0-9a-f]{16}\.reannotate-tmp$/;
const LEFTOVER_AGE_MS = 3_600_000;

/** A name beside a file that nobody can guess, for what is to replace it; `removeLeftovers` finds it by the file's path. */
export function temporaryName(path: string): string {
  // Together with its suffixes a long name would be too long for a file system.
  const name = basename(path).slice(0, LONGEST_NAME_KEPT);
  return join(dirname(path), `.${name}.${lateCrypto().randomBytes(8).toString('hex')}${TEMPORARY_SUFFIX}`);
}

function refuseLink(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) throw linkRefused();
}

/** What may be done to whole lines before they are written. */
export type LineFilter = (lines: Buffer) => Buffer;

/** Collects small writes into large ones, in a file that it makes; not atomic by itself. */
export class BufferedFile {
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  readonly #descriptor: number;
  #used = 0;
  #isOpen = true;
  /** What was written of a line that the buffer is too small for; only with a filter. */
  #long: Buffer[] = [];

  /**
   * @param filter gets all that is written, some lines at a time
   * @throws a system error, EEXIST where there is such a file
   */
  constructor(
    readonly path: string,
    private readonly filter: LineFilter | null = null,
  ) {
    this.#descriptor = openFile(path, 'create');
  }

  /** Appends text (as UTF-8) or bytes. */
  write(data: string | Uint8Array): void {
    const length = typeof data === 'string' ? Buffer.byteLength(data) : data.length;
    if (length > BUFFER_BYTES - this.#used) this.#makeRoom();
    if (length > BUFFER_BYTES) {
      this.#writeLong(typeof data === 'string' ? Buffer.from(data) : data);
      return;
    }
    if (typeof data === 'string') this.#buffer.write(data, this.#used);
    else this.#buffer.set(data, this.#used);
    this.#used += length;
  }

  /** Appends a part of some bytes. */
  writeRange(bytes: Buffer, start: number, end: number): void {
    const length = end - start;
    if (length > BUFFER_BYTES - this.#used) this.#makeRoom();
    if (length > BUFFER_BYTES) this.#writeLong(bytes.subarray(start, end));
    else this.#used += bytes.copy(this.#buffer, this.#used, start, end);
  }

  /** Writes what was appended; with a filter only up to the last end of a line. */
  flush(): void {
    if (this.filter === null) {
      writeAll(this.#descriptor, this.#buffer.subarray(0, this.#used));
      this.#used = 0;
      return;
    }
    const end = this.#buffer.subarray(0, this.#used).lastIndexOf(NEWLINE) + 1;
    if (end === 0) return;
    this.#writeLines(this.#buffer.subarray(0, end), this.filter);
    this.#buffer.copyWithin(0, end, this.#used);
    this.#used -= end;
  }

  /** Empties the buffer. */
  #makeRoom(): void {
    this.flush();
    if (this.#used === 0) return;
    this.#long.push(Buffer.from(this.#buffer.subarray(0, this.#used)));
    this.#used = 0;
  }

  /** Appends what is larger than the buffer, which is empty. */
  #writeLong(bytes: Uint8Array): void {
    if (this.filter === null) writeAll(this.#descriptor, bytes);
    else this.#long.push(Buffer.from(bytes));
  }

  #writeLines(bytes: Buffer, filter: LineFilter): void {
    const lines = this.#long.length === 0 ? bytes : Buffer.concat([...this.#long, bytes]);
    this.#long = [];
    writeAll(this.#descriptor, filter(lines));
  }

  /** Flushes, forces the bytes to disk and closes. */
  finish(): void {
    this.flush();
    if (this.filter !== null) this.#writeLines(this.#buffer.subarray(0, this.#used), this.filter);
    this.#used = 0;
    fsyncSync(this.#descriptor);
    this.#close();
  }

  /** Closes, if it is open, without a thought for what was not written yet. */
  abandon(): void {
    if (this.#isOpen) this.#close();
  }

  /** A close that fails has still closed. */
  #close(): void {
    this.#isOpen = false;
    closeSync(this.#descriptor);
  }
}

/** Writes all bytes, also where the kernel takes only a part at a time. */
export function writeAll(descriptor: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) {
    written += writeSync(descriptor, bytes, written, bytes.length - written);
  }
}

/**
 * Makes or replaces a file as a whole: readers see the old content or the new one, never a part, and after a
 * crash the same. `write` fills the file; if it throws, the old content stays. A symbolic link is not replaced.
 * @param filter gets all that is written, some lines at a time
 * @returns what `write` returns
 */
export async function replaceFile<Result>(
  path: string,
  write: (file: BufferedFile) => Result | Promise<Result>,
  filter: LineFilter | null = null,
): Promise<Result> {
  const temporary = temporaryName(path);
  let file: BufferedFile | null = null;
  try {
    refuseLink(path);
    file = new BufferedFile(temporary, filter);
    const result = await write(file);
    file.finish();
    file = null;
    renameSync(temporary, path);
    syncFolder(dirname(path));
    return result;
  } catch (error) {
    file?.abandon();
    rmSync(temporary, { force: true });
    if (error instanceof UserError || systemErrorCode(error) === undefined) throw error;
    throw fileProblem(error, `write ${path}`);
  }
}

/**
 * Replaces a small file that may be lost in a crash: as a whole, but without waiting for the disk.
 * @throws a system error
 */
export function replaceQuickly(path: string, text: string): void {
  const temporary = temporaryName(path);
  try {
    refuseLink(path);
    const descriptor = openFile(temporary, 'create');
    try {
      writeAll(descriptor, Buffer.from(text));
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Forces a rename in the folder to disk; not every system can, and then the rename is as safe as it gets. */
function syncFolder(path: string): void {
  try {
    const descriptor = openSync(path, 'r');
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch {
    // Windows cannot open folders.
  }
}

/** Removes what a killed process left half-written in a folder: files, and folders of such files. */
export function removeTemporaryFiles(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (name.endsWith(TEMPORARY_SUFFIX) && !isLockInTheMaking(name))
      rmSync(join(folder, name), { force: true, recursive: true });
  }
}

/**
 * Removes what killed processes left beside a file outside a run's folders, where no lock says whether one still works
 * on it: only files of this user that nothing was written to for an hour.
 */
export function removeLeftovers(path: string): void {
  const folder = dirname(path);
  if (!existsSync(folder)) return;
  const start = `.${basename(path).slice(0, LONGEST_NAME_KEPT)}.`;
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(start) || !LEFTOVER.test(name.slice(start.length))) continue;
    const found = lstatSync(join(folder, name), { throwIfNoEntry: false });
    if (found?.isFile() !== true || Date.now() - found.mtimeMs < LEFTOVER_AGE_MS) continue;
    if (process.geteuid === undefined || found.uid === process.geteuid())
      rmSync(join(folder, name), { force: true });
  }
}

/** A process that lives makes a lock without having one: what it works with is not left behind. */
function isLockInTheMaking(name: string): boolean {
  const owner = Number(/^lock\.(?:stale\.)?(\d+)\./.exec(name)?.[1] ?? NaN);
  if (!Number.isSafeInteger(owner) || owner === process.pid) return false;
  try {
    process.kill(owner, 0);
    return true;
  } catch (error) {
    return systemErrorCode(error) === 'EPERM';
  }
}
