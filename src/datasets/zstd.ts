/**
 * Zstandard, frame by frame and block by block. A file of some kilobytes can hold thousands of frames and blocks, and
 * each frame's header decides how much memory its decoder takes: every header is checked before fzstd sees it, one
 * window exists at a time, and no turn decodes more than one block.
 * @see https://www.rfc-editor.org/rfc/rfc8878#section-3.1
 */

import { closeSync } from 'node:fs';
import { cooperativePause, openInput, readAt } from '../lib/files.js';
import { noteDiscarded } from '../lib/memory.js';

/** The `zstd` command asks for a flag beyond this, too (`--long`). */
const LARGEST_WINDOW_BYTES = 128 << 20;
/** Block_Maximum_Size. */
const LARGEST_BLOCK_BYTES = 128 << 10;
const READ_BYTES = 1 << 18;

const MAGIC = 0xfd2fb528;
/** Of the sixteen kinds of frames that decoders skip. */
const SKIPPABLE = 0x184d2a5;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const RLE_BLOCK = 1;

/** The content of a file. @throws Error where it is damaged or incomplete, or needs too large a window */
export async function* unzstd(path: string): AsyncGenerator<Buffer> {
  const { Decompress } = await import('fzstd');
  const descriptor = openInput(path);
  const input = new Input(descriptor);
  const pause = cooperativePause();
  try {
    while (!input.isAtEnd) {
      const header = readHeader(input);
      await pause();
      if (header === null) continue;
      const blocks: Uint8Array[] = [];
      const decompressor = new Decompress((block) => {
        blocks.push(block);
      });
      for (const part of partsOf(header, input)) {
        if (part !== null) decompressor.push(part.bytes, part.isLast);
        for (const block of blocks.splice(0)) yield Buffer.from(block.buffer, block.byteOffset, block.length);
        await pause();
      }
      noteDiscarded(header.window);
    }
  } finally {
    closeSync(descriptor);
  }
}

interface FrameHeader {
  bytes: Buffer;
  window: number;
  hasChecksum: boolean;
}

/** The header of the next frame; null for one that is skipped. */
function readHeader(input: Input): FrameHeader | null {
  const magic = input.read(4);
  const kind = magic.readUInt32LE();
  if (kind >>> 4 === SKIPPABLE) {
    input.skip(input.read(4).readUInt32LE());
    return null;
  }
  if (kind !== MAGIC) throw new Error('it holds something that is not Zstandard');
  const descriptor = input.read(1);
  const flags = descriptor[0] ?? 0;
  const isSingleSegment = (flags & 0x20) !== 0;
  const window = input.read(isSingleSegment ? 0 : 1);
  const dictionary = input.read([0, 1, 2, 4][flags & 3] ?? 0);
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][flags >> 6] ?? 0;
  const size = input.read(sizeBytes);
  const claimed = isSingleSegment ? contentSize(size) : windowSize(window[0] ?? 0);
  if (claimed > LARGEST_WINDOW_BYTES) throw new Error('it needs a window of more than 128 MB (zstd --long)');
  return {
    bytes: Buffer.concat([magic, descriptor, window, dictionary, size]),
    window: claimed,
    hasChecksum: (flags & 4) !== 0,
  };
}

/** Window_Descriptor: an exponent and eighths. */
function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** Frame_Content_Size, which is the window of a frame in a single segment. */
function contentSize(bytes: Buffer): number {
  if (bytes.length === 8) return Number(bytes.readBigUInt64LE());
  return bytes.readUIntLE(0, bytes.length) + (bytes.length === 2 ? 256 : 0);
}

interface Part {
  bytes: Buffer;
  isLast: boolean;
}

/**
 * A frame in parts of one block each: the block's content, and the header of the next. A part that ends exactly with a
 * block would leave an empty rest, which fzstd keeps, one for each block. Null for an empty block, which is left out.
 */
function* partsOf({ bytes, hasChecksum }: FrameHeader, input: Input): Generator<Part | null> {
  let before = bytes;
  for (;;) {
    const block = readBlockHeader(input);
    if (block.isEmpty && !block.isLast) {
      input.skip(block.bytes);
      yield null;
      continue;
    }
    yield { bytes: Buffer.concat([before, block.header]), isLast: false };
    before = input.read(block.bytes);
    if (!block.isLast) continue;
    yield { bytes: Buffer.concat([before, input.read(hasChecksum ? CHECKSUM_BYTES : 0)]), isLast: true };
    return;
  }
}

interface Block {
  header: Buffer;
  /** Bytes that follow its header. */
  bytes: number;
  isEmpty: boolean;
  isLast: boolean;
}

function readBlockHeader(input: Input): Block {
  const header = input.read(BLOCK_HEADER_BYTES);
  const fields = header.readUIntLE(0, BLOCK_HEADER_BYTES);
  const size = fields >>> 3;
  if (size > LARGEST_BLOCK_BYTES) throw new Error('it has a block of more than 128 KB');
  const type = (fields >> 1) & 3;
  return {
    header,
    bytes: type === RLE_BLOCK ? 1 : size,
    isEmpty: size === 0 && type <= RLE_BLOCK,
    isLast: (fields & 1) === 1,
  };
}

/** A file from its start to its end. */
class Input {
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  #bytes: Buffer = Buffer.alloc(0);
  /** Of the file, where `#bytes` begin; and how far these are read. */
  #offset = 0;
  #at = 0;

  constructor(private readonly descriptor: number) {}

  get isAtEnd(): boolean {
    return this.#available(1) === 0;
  }

  /** The next bytes, as a copy. @throws Error where the file ends before */
  read(length: number): Buffer {
    if (this.#available(length) < length) throw new Error('it ends too early');
    const bytes = Buffer.from(this.#bytes.subarray(this.#at, this.#at + length));
    this.#at += length;
    return bytes;
  }

  /** @throws Error where the file ends before */
  skip(length: number): void {
    if (length === 0) return;
    this.#at += length - 1;
    this.read(1);
  }

  #available(length: number): number {
    if (this.#at + length > this.#bytes.length) {
      this.#offset += this.#at;
      this.#at = 0;
      this.#bytes = readAt(this.descriptor, this.#offset, READ_BYTES, this.#buffer);
    }
    return this.#bytes.length - this.#at;
  }
}
