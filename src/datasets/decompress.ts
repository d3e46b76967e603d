/** Streams of decompressed bytes, in pieces of some megabytes at most whatever a file claims. */

import { closeSync, createReadStream, openSync } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { cooperativePause, readAt } from '../lib/files.js';
import type { Compression } from './file-names.js';

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
  const stream = pipeline(createReadStream(path), createGunzip({ chunkSize: 1 << 18 }), () => undefined);
  for await (const chunk of stream) yield chunk as Buffer;
}

/** A block of up to 128 KB may take four bytes, so that this much of a file gives 16 MB at most. */
const ZSTD_PIECE_BYTES = 512;
const ZSTD_READ_BYTES = 1 << 18;
/** The `zstd` command asks for a flag beyond this, too (`--long`). */
const LARGEST_WINDOW_BYTES = 128 << 20;

/** fzstd decodes block by block; it reserves what a frame's header claims, so that is looked at first. */
async function* unzstd(path: string): AsyncGenerator<Buffer> {
  const { Decompress } = await import('fzstd');
  const descriptor = openSync(path, 'r');
  try {
    if (zstdWindow(readAt(descriptor, 0, 18)) > LARGEST_WINDOW_BYTES)
      throw new Error('it needs a window of more than 128 MB (zstd --long)');
    let blocks: Uint8Array[] = [];
    let isWhole = false;
    const decompressor = new Decompress((block) => {
      blocks.push(block.slice());
    });
    const pause = cooperativePause();
    for (let offset = 0; !isWhole;) {
      const bytes = readAt(descriptor, offset, ZSTD_READ_BYTES);
      isWhole = bytes.length === 0;
      if (isWhole) decompressor.push(new Uint8Array(0), true);
      for (let at = 0; at < bytes.length; at += ZSTD_PIECE_BYTES) {
        decompressor.push(bytes.subarray(at, at + ZSTD_PIECE_BYTES));
        for (const block of blocks) yield Buffer.from(block.buffer, block.byteOffset, block.byteLength);
        blocks = [];
      }
      offset += bytes.length;
      await pause();
    }
  } finally {
    closeSync(descriptor);
  }
}

const ZSTD_MAGIC = 0xfd2fb528;

/**
 * The window that the first frame claims, in bytes; 0 where this is no frame of data.
 * @see https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.1
 */
function zstdWindow(header: Buffer): number {
  if (header.length < 6 || header.readUInt32LE(0) !== ZSTD_MAGIC) return 0;
  const descriptor = header[4] ?? 0;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  if (!isSingleSegment) {
    const window = header[5] ?? 0;
    const base = 2 ** (10 + (window >> 3));
    return base + (base / 8) * (window & 7);
  }
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [1, 2, 4, 8][descriptor >> 6] ?? 1;
  const at = 5 + dictionaryBytes;
  if (header.length < at + sizeBytes) return 0;
  if (sizeBytes === 8) return Number(header.readBigUInt64LE(at));
  return header.readUIntLE(at, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
}

const BZIP2_READ_BYTES = 1 << 16;
const BZIP2_WRITE_BYTES = 1 << 18;

/** Blocks hold 900 KB before their runs are written out, 46 MB after; streams may follow each other, as `pbzip2` makes them. */
async function* bunzip2(path: string): AsyncGenerator<Buffer> {
  const { default: Bunzip } = await import('seek-bzip');
  const descriptor = openSync(path, 'r');
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
