/**
 * Compressed files and standard input, as plain files: what reads rows goes through a file twice, and jumps to places in
 * it. One of them at a time is unpacked into the folder for working files, as a stream, and removed when it is done with.
 */

import { closeSync, createReadStream, existsSync, rmdirSync, rmSync, statfsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileProblem, makeFolder, openFile, removeLeftovers, temporaryName, writeAll } from '../lib/files.js';
import { systemErrorCode, UserError, messageOf } from '../lib/errors.js';
import { count, sanitize } from '../lib/text.js';
import type { Compression } from './file-names.js';
import { decompress } from './decompress.js';
import type { LocalFile } from './local-files.js';

/** Free space of the disk that is left to others. */
const RESERVED_BYTES = 256 << 20;
/** How often the free space is looked at, in bytes written. */
const CHECK_BYTES = 16 << 20;

/** A file may unpack to whichever of the two is more. */
export interface UnpackLimits {
  /** Bytes that any file may unpack to. */
  bytes: number;
  /** Bytes for each byte of the file. */
  ratio: number;
}

/** Rows that are all alike may be a thousandth of their size; a bomb of some kilobytes ends here. */
const LIMITS: UnpackLimits = { bytes: 1 << 30, ratio: 1000 };

const NAME = 'unpacked';

/** Bytes that are kept in a file. */
interface Unpacking {
  /** What they come from; empty for standard input. */
  source: string;
  content: AsyncIterable<Buffer>;
  /** Bytes at most. */
  limit: number;
  /** The name of the source for messages. */
  shown: string;
}

/** Unpacks files one at a time. */
export class UnpackedFiles {
  #current: { source: string; path: string } | null = null;
  /** Where each file is unpacked, each time from the start: what reads it keeps the path. */
  readonly #paths = new Map<string, string>();
  /** Files that stay until the program ends. */
  readonly #kept: string[] = [];
  /** Folders that were made for this, the deepest first. */
  readonly #made: string[] = [];
  readonly #onExit = (): void => {
    this.#remove();
    for (const path of this.#kept) rmSync(path, { force: true });
    for (const folder of this.#made) removeIfEmpty(folder);
  };

  /** @param folder for working files; made where it is missing, and removed again if nothing else is in it */
  constructor(
    private readonly folder: string,
    private readonly limits = LIMITS,
  ) {}

  /**
   * The path of a file's unpacked content, valid until another file is asked for.
   * @throws UserError where the file is damaged, or unpacks to more than the disk or good sense allows
   */
  async pathOf(file: LocalFile, compression: Compression, signal: AbortSignal | undefined): Promise<string> {
    if (this.#current?.source === file.path) return this.#current.path;
    const { size } = statSync(file.path);
    const limit = Math.max(this.limits.bytes, size * this.limits.ratio);
    try {
      return await this.#write(
        { source: file.path, content: decompress(file.path, compression), limit, shown: file.shown },
        signal,
      );
    } catch (error) {
      if (error instanceof UserError || signal?.aborted === true) throw error;
      const code = systemErrorCode(error);
      if (code !== undefined && !/^(?:Z_|ERR_|ZSTD_)/.test(code))
        throw fileProblem(error, `read ${sanitize(file.shown, 200)}`);
      throw new UserError(
        `${sanitize(file.shown, 200)} cannot be unpacked as ${compression}: ${sanitize(messageOf(error), 120)}. It may be ` +
          'damaged or incomplete; download it again.',
        undefined,
        { cause: error },
      );
    }
  }

  /**
   * Keeps what comes from standard input.
   * @returns its path, valid as long as the program runs
   */
  async keep(input: AsyncIterable<Buffer>, signal: AbortSignal | undefined): Promise<string> {
    const path = await this.#write(
      { source: '', content: input, limit: Infinity, shown: 'standard input' },
      signal,
    );
    // What is unpacked next must not replace it.
    this.#current = null;
    this.#kept.push(path);
    return path;
  }

  async #write(
    { source, content, limit, shown }: Unpacking,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    this.#remove();
    this.#prepareFolder();
    const path = this.#paths.get(source) ?? temporaryName(join(this.folder, NAME));
    this.#paths.set(source, path);
    const descriptor = openFile(path, 'create');
    this.#current = { source, path };
    try {
      let written = 0;
      let checkAt = 0;
      for await (const chunk of content) {
        signal?.throwIfAborted();
        written += chunk.length;
        if (written > limit) throw tooLarge(shown, limit);
        if (written >= checkAt) {
          refuseFullDisk(this.folder, shown);
          checkAt = written + CHECK_BYTES;
        }
        writeOrExplain(descriptor, chunk, path);
      }
    } catch (error) {
      this.#remove();
      throw error;
    } finally {
      closeSync(descriptor);
    }
    return path;
  }

  #prepareFolder(): void {
    for (let folder = resolve(this.folder); !existsSync(folder); folder = dirname(folder))
      this.#made.push(folder);
    makeFolder(this.folder);
    if (process.listeners('exit').includes(this.#onExit)) return;
    removeLeftovers(join(this.folder, NAME));
    process.once('exit', this.#onExit);
  }

  #remove(): void {
    if (this.#current !== null) rmSync(this.#current.path, { force: true });
    this.#current = null;
  }
}

/** What comes from standard input. @throws UserError where it is a terminal */
export function standardInputStream(): AsyncIterable<Buffer> {
  if (process.stdin.isTTY) {
    throw new UserError(
      '--dataset -: standard input is a terminal. Pipe a dataset into the command, or name a file.',
    );
  }
  // By its descriptor: `process.stdin` would be closed with it, and others may ask whether it is a terminal.
  return createReadStream('', { fd: 0, autoClose: false });
}

function writeOrExplain(descriptor: number, chunk: Buffer, path: string): void {
  try {
    writeAll(descriptor, chunk);
  } catch (error) {
    throw fileProblem(error, `write ${sanitize(path, 200)}`);
  }
}

function refuseFullDisk(folder: string, shown: string): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize >= RESERVED_BYTES) return;
  throw new UserError(
    `There is not enough space in ${sanitize(folder, 200)} to unpack ${sanitize(shown, 200)}. Free some, or choose another disk ` +
      'with --temp_dir.',
  );
}

function tooLarge(shown: string, limit: number): UserError {
  return new UserError(
    `${sanitize(shown, 200)} unpacks to more than ${count(Math.round(limit / 1e6))} MB, far more than its size suggests. If you trust ` +
      'it, unpack it yourself.',
  );
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Something else is in it by now.
  }
}
