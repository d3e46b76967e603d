/** `--output_file` and `--error_file`: the lines of all collected batches, as they came. */

import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { breathe, readAt, fileProblem, makeFolder, writeAll } from '../files.js';
import type { Reporter } from '../types.js';

const CHUNK_BYTES = 1 << 20;

/** One of the two files. What stands in it is always a beginning of its sources, one after the other. */
export class RawFile {
  /** Bytes of the sources that the file holds; null until it was compared with them. */
  #length: number | null = null;

  /** @throws UserError where nothing can be written there, which is better known before hours of waiting */
  constructor(
    private readonly path: string,
    flag: string,
    private readonly reporter: Reporter,
  ) {
    try {
      makeFolder(dirname(path));
      accessSync(existsSync(path) ? path : dirname(path), constants.W_OK);
    } catch (error) {
      throw fileProblem(error, `write ${path} (${flag})`);
    }
  }

  /**
   * Appends what is missing.
   * @param sources the downloads in the order in which they were collected
   */
  async update(sources: readonly string[]): Promise<void> {
    this.#length ??= await this.#compare(sources);
    const total = sources.reduce((sum, source) => sum + statSync(source).size, 0);
    if (total === this.#length) return;
    const target = openSync(this.path, 'a', 0o600);
    try {
      for await (const bytes of contentFrom(sources, this.#length)) {
        writeAll(target, bytes);
        this.#length += bytes.length;
      }
      fsyncSync(target);
    } catch (error) {
      throw fileProblem(error, `write ${this.path}`);
    } finally {
      closeSync(target);
    }
  }

  /** How much of the sources the file holds. A file with anything else in it is another run's: it is moved aside. */
  async #compare(sources: readonly string[]): Promise<number> {
    if (!existsSync(this.path)) return 0;
    const size = statSync(this.path).size;
    if (size === 0) return 0;
    const existing = openSync(this.path, 'r');
    let compared = 0;
    try {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      for await (const bytes of contentFrom(sources, 0)) {
        const length = Math.min(bytes.length, size - compared);
        if (!readAt(existing, compared, length, buffer).equals(bytes.subarray(0, length))) break;
        compared += length;
        if (compared === size) return size;
      }
    } finally {
      closeSync(existing);
    }
    const aside = `${this.path}.${new Date().toISOString().replace(/[:.]/g, '-')}`;
    renameSync(this.path, aside);
    this.reporter.warning(`${this.path} held lines of other batches; it is now ${aside}.`);
    return 0;
  }
}

/** The bytes of several files, one after the other, from some byte on; each piece is valid until the next. */
async function* contentFrom(sources: readonly string[], from: number): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let skip = from;
  for (const source of sources) {
    const size = statSync(source).size;
    if (skip >= size) {
      skip -= size;
      continue;
    }
    const descriptor = openSync(source, 'r');
    try {
      for (let position = skip; position < size;) {
        const read = readSync(descriptor, buffer, 0, CHUNK_BYTES, position);
        if (read === 0) break;
        position += read;
        yield buffer.subarray(0, read);
        await breathe();
      }
    } finally {
      closeSync(descriptor);
    }
    skip = 0;
  }
}
