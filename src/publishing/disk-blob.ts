/** A file as a `Blob` that is read as it is needed. Node's own (`openAsBlob`) is experimental in Node 20, and says so. */

import { createReadStream, statSync } from 'node:fs';
import { ReadableStream } from 'node:stream/web';
import { noteDiscarded } from '../lib/memory.js';

export class DiskBlob extends Blob {
  override readonly size: number;

  private constructor(
    private readonly path: string,
    private readonly start: number,
    /** Exclusive. */
    private readonly end: number,
  ) {
    super([]);
    this.size = end - start;
  }

  /** A whole file, as long as it is now. */
  static of(path: string): DiskBlob {
    return new DiskBlob(path, 0, statSync(path).size);
  }

  /** A part of it; places from the end, which nobody asks for, are not known. */
  override slice(start = 0, end = this.size): DiskBlob {
    const from = Math.min(this.start + start, this.end);
    return new DiskBlob(this.path, from, Math.max(from, Math.min(this.start + end, this.end)));
  }

  override stream(): ReturnType<Blob['stream']> {
    return ReadableStream.from(this.#chunks()) as ReturnType<Blob['stream']>;
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    const bytes = new Uint8Array(this.size);
    let filled = 0;
    for await (const chunk of this.#chunks()) {
      bytes.set(chunk, filled);
      filled += chunk.length;
    }
    return bytes.buffer;
  }

  async *#chunks(): AsyncGenerator<Buffer> {
    if (this.size === 0) return;
    for await (const chunk of createReadStream(this.path, { start: this.start, end: this.end - 1 })) {
      yield chunk as Buffer;
      // By asking for the next one a reader is done with this one.
      noteDiscarded((chunk as Buffer).length);
    }
  }
}
