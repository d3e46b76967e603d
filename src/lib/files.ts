import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
  type Stats,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { systemErrorCode, TemporaryError, UserError, messageOf } from './errors.js';
import { lateCrypto } from './late-crypto.js';

const CHUNK_BYTES = 1 << 18;
const LEAST_BUFFER_BYTES = 1 << 12;
const NEWLINE = 0x0a;
const LONGEST_NAME_KEPT = 60;
/** How temporary files end; what a killed process leaves half-written, the next run removes by this name. */
export const TEMPORARY_SUFFIX = '.reannotate-tmp';

const LEFTOVER = /^[0-9a-f]{16}\.reannotate-tmp$/;
const LEFTOVER_AGE_MS = 3_600_000;

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full. Free some space',
  EDQUOT: 'the disk quota is used up. Free some space',
  EACCES:
    'permission denied. Choose another folder with --save_dir and --temp_dir, or change its permissions',
  EPERM: 'permission denied. Choose another folder with --save_dir and --temp_dir, or change its permissions',
  EROFS: 'the file system is read-only. Choose another folder with --save_dir and --temp_dir',
  EMFILE: 'too many files are open. Lower --max_concurrency or raise the limit (ulimit -n)',
  ENAMETOOLONG: 'the name is too long. Choose a shorter path with --save_dir and --temp_dir',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EEXIST: 'a file is in the place of a folder',
  ELOOP:
    'a symbolic link is in its place, and links are not followed here. Remove the link, or give the path that it leads to',
  EISDIR: 'it is a folder',
  ENOTSUP: 'it is a pipe, a socket or a device, not a file',
  EFBIG: 'the file is too large',
  ENOENT: 'there is no such file or folder',
  EIO: 'the disk reported an error',
};

/** True for an error of a file system that a sentence is known for. */
export function isFileProblem(error: unknown): boolean {
  return Object.hasOwn(HINTS, systemErrorCode(error) ?? '');
}

/** Troubles of a disk or a network file system that may pass without a change to the command. */
const PASSING_CODES = new Set([
  ...['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EBUSY', 'ENOLCK'],
  ...['ESTALE', 'ETIMEDOUT', 'EREMOTEIO', 'ENOTCONN', 'EHOSTDOWN', 'ENXIO'],
]);

/** A sentence for a failed file operation that says what to do; `action` reads like "write /path/file". */
export function fileProblem(error: unknown, action: string): UserError {
  const message = `Cannot ${action}: ${fileReason(error)}.`;
  return PASSING_CODES.has(systemErrorCode(error) ?? '')
    ? new TemporaryError(message, { cause: error })
    : new UserError(message, undefined, { cause: error });
}

/** What was being done when the system reported an error, for `fileProblem`. */
export function failedAction(error: unknown): string {
  const path = error instanceof Error ? (error as NodeJS.ErrnoException).path : undefined;
  return path === undefined ? "use the run's files" : `use ${path}`;
}

/** Why a file operation failed, in words, and what to do about it. */
function fileReason(error: unknown): string {
  return HINTS[systemErrorCode(error) ?? ''] ?? messageOf(error);
}

/** The same without the advice. */
export function bareFileReason(error: unknown): string {
  return fileReason(error).split('. ', 1)[0] ?? '';
}

/** Makes a folder that only its owner can read (it will hold prompts), with its parents. */
export function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let folder = resolve(path); !existsSync(folder); folder = dirname(folder)) missing.unshift(folder);
  try {
    // One by one: where a file system takes no folders (/proc), Node's recursive mkdir never returns.
    for (const folder of missing) makeOneFolder(folder);
    if (!statSync(path).isDirectory()) throw Object.assign(new Error('not a folder'), { code: 'EEXIST' });
  } catch (error) {
    throw fileProblem(error, `make the folder ${path}`);
  }
}

function makeOneFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Another process may make it at the same time.
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
}

// Windows has neither: a link needs rights there that other users don't have.
const NO_FOLLOW = constants.O_NOFOLLOW as number | undefined;
const NO_WAIT = constants.O_NONBLOCK as number | undefined;
const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_APPEND } = constants;

/** Ways to open a file; `create` fails with EEXIST where anything is in its place. */
const WAYS = {
  read: O_RDONLY,
  change: O_RDWR,
  append: O_WRONLY | O_CREAT | O_APPEND,
  'append and read': O_RDWR | O_CREAT | O_APPEND,
  create: O_WRONLY | O_CREAT | O_EXCL,
} as const;

/**
 * Opens a file of the program's own, readable by its owner alone where it is made. The one way to open such a file: a
 * symbolic link in its place is not followed, and a named pipe does not stop the program.
 * @returns the descriptor
 * @throws a system error; ELOOP for a link
 */
export function openFile(path: string, way: keyof typeof WAYS): number {
  const descriptor = openSync(path, WAYS[way] | (NO_FOLLOW ?? 0) | (NO_WAIT ?? 0), 0o600);
  const found = way === 'create' ? null : fstatSync(descriptor);
  if (found === null || found.isFile() || found.isCharacterDevice()) return descriptor;
  closeSync(descriptor);
  throw notAFile(kindOfFile(found), path);
}

/** Larger files of a run are read piece by piece. */
const LARGEST_TEXT_BYTES = 256 << 20;

/**
 * The text of a file of a run. Its folder may be shared, so the same holds as for `openFile`: no link is followed, no
 * pipe waited for, and no more read than a file of this kind may hold.
 * @throws a system error
 */
export function readOwnText(path: string, most = LARGEST_TEXT_BYTES): string {
  const descriptor = openFile(path, 'read');
  try {
    const { size } = fstatSync(descriptor);
    if (size > most) throw systemError('EFBIG', 'it is too large', path);
    return readAt(descriptor, 0, size).toString('utf8');
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Opens a file that somebody else made, such as one that a flag names, for reading. Links are followed. A named pipe
 * would stop the whole program until somebody writes to it, and a device may never end: only regular files are opened.
 * @returns the descriptor
 * @throws a system error; ENOTSUP for anything but a regular file, EISDIR for a folder
 */
export function openInput(path: string): number {
  const descriptor = openWithoutWaiting(path);
  const kind = kindOfFile(fstatSync(descriptor));
  if (kind === 'file') return descriptor;
  closeSync(descriptor);
  throw notAFile(kind, path);
}

/**
 * Opens anything for reading, pipes and devices included, without waiting for somebody who writes to it.
 * @returns the descriptor
 * @throws a system error
 */
export function openWithoutWaiting(path: string): number {
  return openSync(path, O_RDONLY | (NO_WAIT ?? 0));
}

function notAFile(kind: FileType, path: string): Error {
  return systemError(kind === 'folder' ? 'EISDIR' : 'ENOTSUP', `it is a ${kind}, not a file`, path);
}

function systemError(code: string, message: string, path: string): Error {
  return Object.assign(new Error(message), { code, path });
}

/** What something in a file system is, for messages. */
export type FileType = 'file' | 'folder' | 'named pipe' | 'socket' | 'device';

/** @param found what `stat` says, or an entry of a folder */
export function kindOfFile(found: Pick<Stats, 'isFile' | 'isDirectory' | 'isFIFO' | 'isSocket'>): FileType {
  if (found.isFile()) return 'file';
  if (found.isDirectory()) return 'folder';
  if (found.isFIFO()) return 'named pipe';
  return found.isSocket() ? 'socket' : 'device';
}

/** The error for a link in a file's place, as `openFile` gives it. */
export function linkRefused(): Error {
  return Object.assign(new Error('a symbolic link is in its place'), { code: 'ELOOP' });
}

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
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES);
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
    if (length > CHUNK_BYTES - this.#used) this.#makeRoom();
    if (length > CHUNK_BYTES) {
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
    if (length > CHUNK_BYTES - this.#used) this.#makeRoom();
    if (length > CHUNK_BYTES) this.#writeLong(bytes.subarray(start, end));
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
 */
export async function replaceFile(
  path: string,
  write: (file: BufferedFile) => void | Promise<void>,
  filter: LineFilter | null = null,
): Promise<void> {
  const temporary = temporaryName(path);
  let file: BufferedFile | null = null;
  try {
    refuseLink(path);
    file = new BufferedFile(temporary, filter);
    await write(file);
    file.finish();
    file = null;
    renameSync(temporary, path);
    syncFolder(dirname(path));
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

/** Lets timers, signals and sockets have their turn inside a long loop. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Milliseconds that a loop may run before the others get a turn. */
const TURN_MS = 20;

/** When the others had their last turn in such a loop. */
let lastTurn = -Infinity;

/**
 * For the inside of a loop that may last: yields when it is time to, and costs almost nothing otherwise. Loops share the
 * time of the last turn: of a hundred thousand short loops after each other, none alone would ever find it is time.
 */
export function cooperativePause(): () => Promise<void> | undefined {
  return () => {
    if (performance.now() - lastTurn < TURN_MS) return undefined;
    return yieldToEventLoop().then(() => {
      lastTurn = performance.now();
    });
  };
}
