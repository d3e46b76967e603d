/** Answers that come compressed, although no compression is asked for. */

import { isUtf8 } from 'node:buffer';
import * as zlib from 'node:zlib';
import { systemErrorCode } from '../lib/errors.js';
import { ANSWER_BOUNDS, beyondBounds } from './answer-bounds.js';

/** As zlib takes it. */
interface Bound {
  maxOutputLength: number;
}

/** One layer by the server, one by a proxy. */
const MOST_LAYERS = 3;

type Unpack = (bytes: Buffer, bound: Bound) => Buffer;

const gunzip: Unpack = (bytes, bound) =>
  zlib.gunzipSync(bytes, { ...bound, finishFlush: zlib.constants.Z_SYNC_FLUSH });

/** Servers differ on whether `deflate` has zlib's header (RFC 9110, 8.4.1.2). */
const inflate: Unpack = (bytes, bound) =>
  startsAsZlib(bytes) ? zlib.inflateSync(bytes, bound) : zlib.inflateRawSync(bytes, bound);

const BY_NAME: Readonly<Record<string, Unpack>> = {
  gzip: gunzip,
  'x-gzip': gunzip,
  deflate: inflate,
  br: (bytes, bound) => zlib.brotliDecompressSync(bytes, bound),
  zstd: unzstd,
};

/**
 * Unpacks a body by its `content-encoding`. A body that is plain text nevertheless, because a proxy unpacked it and kept the
 * header, is returned as it is.
 * @param bounds of what it unpacks to
 * @throws Error where the encoding is unknown, or the bytes are damaged or too many
 */
export function decodeBody(bytes: Buffer, encodings: string, bounds = ANSWER_BOUNDS): Buffer {
  const names = encodings
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'identity');
  let plain = bytes;
  for (const name of names.reverse()) {
    const unpack = Object.hasOwn(BY_NAME, name) ? BY_NAME[name] : undefined;
    if (unpack === undefined)
      throw new Error(`the answer is compressed in an unknown way (${encodings.slice(0, 40)})`);
    try {
      plain = unpack(plain, { maxOutputLength: bounds.bytes });
    } catch (error) {
      if (startsAsText(plain)) return plain;
      throw isTooMuch(error) ? beyondBounds(bounds, 'bytes') : error;
    }
  }
  return plain;
}

/**
 * Unpacks a body that is compressed although its headers do not say so; any other is returned as it is. Brotli leaves
 * no mark at its beginning, so it is tried on what is no text.
 * @param bounds of what it unpacks to
 * @throws Error where there are too many bytes
 */
export function decodeUnannounced(bytes: Buffer, bounds = ANSWER_BOUNDS): Buffer {
  let plain = bytes;
  for (let layer = 0; layer < MOST_LAYERS; layer++) {
    const unpack = unpackerOf(plain);
    if (unpack === null) break;
    try {
      plain = unpack(plain, { maxOutputLength: bounds.bytes });
    } catch (error) {
      if (isTooMuch(error)) throw beyondBounds(bounds, 'bytes');
      break;
    }
  }
  return plain;
}

function isTooMuch(error: unknown): boolean {
  return systemErrorCode(error) === 'ERR_BUFFER_TOO_LARGE';
}

function unpackerOf(bytes: Buffer): Unpack | null {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return gunzip;
  if (startsAsZlib(bytes)) return inflate;
  if (bytes.length > 4 && bytes.readUInt32LE(0) === 0xfd2fb528) return unzstd;
  return bytes.length > 4 && !isUtf8(bytes) ? (BY_NAME['br'] ?? null) : null;
}

/** RFC 1950: deflate with a window of up to 32 KB, and a checksum of both bytes. */
function startsAsZlib(bytes: Buffer): boolean {
  const [first, second] = bytes;
  return first === 0x78 && second !== undefined && ((first << 8) | second) % 31 === 0;
}

/** How JSON, HTML and events begin; no compressed format begins with two such bytes. */
function startsAsText(bytes: Buffer): boolean {
  return /^[\s{[<:"dei\uFEFF][\s\x20-\x7e]/.test(bytes.toString('utf8', 0, 8));
}

/** Part of Node since 22.15. */
function unzstd(bytes: Buffer, bound: Bound): Buffer {
  const unpack = (zlib as { zstdDecompressSync?: (bytes: Buffer, bound: Bound) => Buffer })
    .zstdDecompressSync;
  if (unpack === undefined) throw new Error('the answer is compressed with zstd, which needs Node 22.15');
  return unpack(bytes, bound);
}
