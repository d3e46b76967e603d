/**
 * The two codecs of compressed record batches, which Feather files of pandas and pyarrow have by default: LZ4 frames and
 * Zstandard. What a file unpacks to takes memory of the decoder's process, which is watched.
 * @see https://arrow.apache.org/docs/format/Columnar.html#compression
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */

import type * as ApacheArrow from 'apache-arrow';
import { decompress as unzstd } from 'fzstd';

const LZ4_MAGIC = 0x184d2204;
/** A buffer of a record batch. */
const LARGEST_BYTES = 1 << 30;
const IS_STORED = 0x80000000;
const SHORTEST_MATCH = 4;
const MORE_FOLLOWS = 15;

/** Tells apache-arrow how to unpack buffers. */
export function registerCodecs({ compressionRegistry, CompressionType }: typeof ApacheArrow): void {
  compressionRegistry.set(CompressionType.LZ4_FRAME, { decode: unlz4 });
  compressionRegistry.set(CompressionType.ZSTD, { decode: (bytes) => unzstd(bytes) });
}

/**
 * Unpacks an LZ4 frame.
 * @throws Error where it is damaged, or unpacks to more than a gigabyte
 */
export function unlz4(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== LZ4_MAGIC) throw new Error('it holds no LZ4 frame');
  const flags = view.getUint8(4);
  const hasBlockChecksums = (flags & 0x10) !== 0;
  let at = 7 + ((flags & 0x08) !== 0 ? 8 : 0) + ((flags & 0x01) !== 0 ? 4 : 0);
  const output = new Output(bytes.length * 4);
  for (;;) {
    const size = view.getUint32(at, true);
    at += 4;
    if (size === 0) return output.bytes;
    const length = size & ~IS_STORED;
    if (at + length > bytes.length) throw new Error('an LZ4 block ends too early');
    const block = bytes.subarray(at, at + length);
    if (size >= IS_STORED) output.add(block);
    else unpackBlock(block, output);
    at += length + (hasBlockChecksums ? 4 : 0);
  }
}

/** Blocks may repeat what earlier ones hold. */
function unpackBlock(block: Uint8Array, output: Output): void {
  let at = 0;
  const byte = (): number => {
    const value = block[at++];
    if (value === undefined) throw new Error('an LZ4 block ends too early');
    return value;
  };
  const lengthFrom = (start: number): number => {
    let length = start;
    if (start === MORE_FOLLOWS)
      for (let more = 255; more === 255;) {
        more = byte();
        length += more;
      }
    return length;
  };
  while (at < block.length) {
    const token = byte();
    const literals = lengthFrom(token >> 4);
    if (at + literals > block.length) throw new Error('an LZ4 block ends too early');
    output.add(block.subarray(at, at + literals));
    at += literals;
    // The last sequence has no match.
    if (at >= block.length) return;
    const distance = byte() | (byte() << 8);
    output.repeat(distance, lengthFrom(token & 0x0f) + SHORTEST_MATCH);
  }
}

/** Bytes that become more. */
class Output {
  #buffer: Uint8Array;
  #length = 0;

  constructor(expected: number) {
    this.#buffer = new Uint8Array(Math.min(LARGEST_BYTES, expected));
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  add(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Repeats what is so far back; the copy may overlap itself. */
  repeat(distance: number, length: number): void {
    if (distance === 0 || distance > this.#length)
      throw new Error('an LZ4 block refers to bytes before its start');
    this.#reserve(length);
    const buffer = this.#buffer;
    const end = this.#length + length;
    for (; this.#length < end; this.#length++) buffer[this.#length] = buffer[this.#length - distance] ?? 0;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#buffer.length) return;
    if (needed > LARGEST_BYTES) throw new Error('a buffer unpacks to more than a gigabyte');
    const larger = new Uint8Array(Math.min(LARGEST_BYTES, Math.max(needed, 2 * this.#buffer.length)));
    larger.set(this.bytes);
    this.#buffer = larger;
  }
}
