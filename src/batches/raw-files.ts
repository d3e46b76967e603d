/** `--output_file` and `--error_file`: the lines of all collected batches, as they came. */

import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import {
  yieldToEventLoop,
  fileProblem,
  makeFolder,
  openFile,
  readAt,
  removeLeftovers,
  replaceFile,
  writeAll,
} from '../lib/files.js';
import { requireOwnFile } from '../lib/own-folder.js';
import type { Reporter } from '../types.js';

const CHUNK_BYTES = 1 << 20;

/** A source as it was when it was last looked at. */
interface Source {
  path: string;
  bytes: number;
}

/**
 * One of the two files. Its content is always a beginning of its sources, one after the other; a file with anything
 * else in it is another run's, and is neither appended to nor overwritten.
 */
export class RawFile {
  /** What the file holds. */
  #written: readonly Source[] = [];
  /** The file as this process left it, to notice others that write to it. */
  #left: { inode: number; bytes: number } | null = null;
  #isTaken = false;

  /** @throws UserError where nothing can be written there, which is better known before hours of waiting */
  constructor(
    private readonly path: string,
    private readonly flag: string,
    private readonly reporter: Reporter,
  ) {
    try {
      makeFolder(dirname(path));
      requireOwnFile(path);
      removeLeftovers(path);
      accessSync(existsSync(path) ? path : dirname(path), constants.W_OK);
    } catch (error) {
      throw fileProblem(error, `write ${path} (${flag})`);
    }
  }

  /**
   * Brings the file up to date.
   * @param paths the downloads in the order in which they were first collected
   */
  async update(paths: readonly string[]): Promise<void> {
    if (this.#isTaken) return;
    const sources = paths.map((path) => ({ path, bytes: statSync(path).size }));
    if (this.#isTakenByOthers()) return;
    // As long as this process has written nothing, another one may have.
    const written = this.#left === null ? await this.#compare(sources) : this.#written;
    const isPrefix = written.every(
      ({ path, bytes }, index) => sources[index]?.path === path && sources[index].bytes === bytes,
    );
    this.#written = written;
    if (isPrefix && written.length === sources.length) return;
    try {
      if (isPrefix) await this.#append(sources.slice(written.length));
      else await this.#rewrite(sources);
    } catch (error) {
      throw fileProblem(error, `write ${this.path}`);
    }
    this.#written = sources;
    const { ino: inode, size: bytes } = statSync(this.path);
    this.#left = { inode, bytes };
  }

  async #append(sources: readonly Source[]): Promise<void> {
    const target = openFile(this.path, 'append');
    try {
      for await (const bytes of contentOf(sources)) writeAll(target, bytes);
      fsyncSync(target);
    } finally {
      closeSync(target);
    }
  }

  /** A download that was short at first has more lines now. */
  async #rewrite(sources: readonly Source[]): Promise<void> {
    await replaceFile(this.path, async (file) => {
      for await (const bytes of contentOf(sources)) file.write(Buffer.from(bytes));
    });
  }

  /** Another watch in the same folder replaced the file, or writes to it as well. */
  #isTakenByOthers(): boolean {
    if (this.#left === null) return false;
    const now = statSync(this.path, { throwIfNoEntry: false });
    if (now?.ino === this.#left.inode && now.size === this.#left.bytes) return false;
    if (now === undefined) {
      this.#left = null;
      return false;
    }
    this.#isTaken = true;
    this.reporter.warning(
      `Another program writes to ${this.path}, so this run no longer adds its lines to it. The results are not ` +
        `affected. Run watch-batch again with another ${this.flag}.`,
    );
    return true;
  }

  /** Which sources the file holds. A file with anything else in it is another run's: it is moved aside. */
  async #compare(sources: readonly Source[]): Promise<Source[]> {
    const found = statSync(this.path, { throwIfNoEntry: false });
    if (found === undefined || found.size === 0) return [];
    const same = await this.#sameSources(sources, found.size);
    if (same !== null) return same;
    const aside = `${this.path}.${new Date().toISOString().replace(/[:.]/g, '-')}`;
    renameSync(this.path, aside);
    this.reporter.warning(`${this.path} contained lines of other batches and was renamed to ${aside}.`);
    return [];
  }

  /** The sources that the file consists of; null where it holds something else. One that was cut short is cut to none. */
  async #sameSources(sources: readonly Source[], size: number): Promise<Source[] | null> {
    const existing = openFile(this.path, 'change');
    try {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      let compared = 0;
      for await (const bytes of contentOf(sources)) {
        const length = Math.min(bytes.length, size - compared);
        if (!readAt(existing, compared, length, buffer).equals(bytes.subarray(0, length))) return null;
        compared += length;
        if (compared === size) break;
      }
      if (compared < size) return null;
      let end = 0;
      const whole: Source[] = [];
      for (const source of sources) {
        if (end + source.bytes > size) break;
        end += source.bytes;
        whole.push(source);
      }
      // Killed while a source was appended: what came of it is written again.
      if (end < size) ftruncateSync(existing, end);
      this.#left = { inode: fstatSync(existing).ino, bytes: end };
      return whole;
    } finally {
      closeSync(existing);
    }
  }
}

/** The bytes of several files, one after the other; each piece is valid until the next. */
async function* contentOf(sources: readonly Source[]): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (const { path, bytes } of sources) {
    const descriptor = openFile(path, 'read');
    try {
      for (let position = 0; position < bytes;) {
        const read = readSync(descriptor, buffer, 0, Math.min(CHUNK_BYTES, bytes - position), position);
        if (read === 0) break;
        position += read;
        yield buffer.subarray(0, read);
        await yieldToEventLoop();
      }
    } finally {
      closeSync(descriptor);
    }
  }
}
