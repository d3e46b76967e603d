/** Streams of decompressed bytes, in pieces of a few megabytes at most, no matter what a file claims. */

import { closeSync, createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { cooperativePause, openInput, readAt } from '../lib/files.js';
import type { Compression } from './file-names.js';
import { unzstd } from './zstd.js';

const DECOMPRESSORS: Readonly<Record<Compression, (path: string) => AsyncIterable<Buffer>>> = {
  gzip: gunzip,
  zstd: unzstd,
  bzip2: bunzip2,
};

/**
 * The content of a compressed file.
 * @throws Error where the file is damaged or incomplete
 */
export function decompress(path: string, compression: Compression): AsyncIterable<Buffer> {
  return DECOMPRESSORS[compression](path);
}

async function* gunzip(path: string): AsyncGenerator<Buffer> {
  // Members that follow each other, as `bgzip` and `cat` make them, are one content.
  const file = createReadStream('', { fd: openInput(path) });
  const stream = pipeline(file, createGunzip({ chunkSize: 1 << 18 }), () => undefined);
  for await (const chunk of stream) yield chunk as Buffer;
}

const BZIP2_READ_BYTES = 1 << 16;
const BZIP2_WRITE_BYTES = 1 << 18;

/** Blocks hold 900 KB before their runs are written out, 46 MB after; streams may follow each other, as `pbzip2` makes them. */
async function* bunzip2(path: string): AsyncGenerator<Buffer> {
  const { default: Bunzip } = await import('seek-bzip');
  const descriptor = openInput(path);
  try {
    const input = new ByteInput(descriptor);
    const output = new ByteOutput();
    const pause = cooperativePause();
    do {
      const decoder = new Bunzip(input, output);
      while (decoder._init_block()) {
        decoder._read_bunzip();
        yield* output.take();
        await pause();
      }
      const expected = decoder.reader.read(32) >>> 0;
      if (expected !== decoder.streamCRC) throw new Error('its checksum does not match');
    } while (!input.eof());
  } finally {
    closeSync(descriptor);
  }
}

/** A file byte by byte. */
class ByteInput {
  readonly #buffer = Buffer.allocUnsafe(BZIP2_READ_BYTES);
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #offset = 0;

  constructor(private readonly descriptor: number) {}

  /** @throws Error where the file has ended */
  readByte(): number {
    if (this.eof()) throw new Error('it ends too early');
    return this.#bytes[this.#at++] ?? 0;
  }

  read(target: Uint8Array, start: number, length: number): number {
    for (let done = 0; done < length; done++) target[start + done] = this.readByte();
    return length;
  }

  eof(): boolean {
    if (this.#at < this.#bytes.length) return false;
    this.#bytes = readAt(this.descriptor, this.#offset, BZIP2_READ_BYTES, this.#buffer);
    this.#offset += this.#bytes.length;
    this.#at = 0;
    return this.#bytes.length === 0;
  }
}

/** Collects bytes into pieces. */
class ByteOutput {
  #piece = Buffer.allocUnsafe(BZIP2_WRITE_BYTES);
  #used = 0;
  #full: Buffer[] = [];

  writeByte(byte: number): void {
    if (this.#used === BZIP2_WRITE_BYTES) {
      this.#full.push(this.#piece);
      this.#piece = Buffer.allocUnsafe(BZIP2_WRITE_BYTES);
      this.#used = 0;
    }
    this.#piece[this.#used++] = byte;
  }

  /** What was written since the last call; valid until more is written. */
  take(): Buffer[] {
    const pieces = [...this.#full, this.#piece.subarray(0, this.#used)];
    this.#full = [];
    this.#used = 0;
    return pieces;
  }
}
