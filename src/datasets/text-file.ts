/**
 * Text files as UTF-8, whatever their encoding: what reads rows sees bytes that are valid, without a byte order mark.
 * Bytes that are not of the encoding end the reading with their place, so nothing of such a file is ever sent.
 */

import { isUtf8 } from 'node:buffer';
import { closeSync } from 'node:fs';
import { basename } from 'node:path';
import { UserError } from '../lib/errors.js';
import { openInput, readAt } from '../lib/files.js';
import { count, sanitize } from '../lib/text.js';
import {
  byteOrderMark,
  decoderOf,
  DEFAULT_ENCODING,
  looksLikeUtf32,
  type Decoder,
  type EncodingName,
} from './encodings.js';
import { guessEncoding, guessUtf16 } from './guess-encoding.js';

const PIECE_BYTES = 1 << 18;
/** What is looked at to guess an encoding. */
const SAMPLE_BYTES = 1 << 14;
const LONGEST_CHARACTER = 4;
const LINE_FEED = 0x0a;

export interface TextFile {
  /** Where its bytes are. */
  path: string;
  /** As messages call it: the path that was given, also where the bytes were unpacked elsewhere. */
  shown: string;
  /** As declared; a byte order mark counts for more. */
  encoding: EncodingName;
}

/**
 * The text of a file in pieces of valid UTF-8 that end with a whole character. Each is valid until the next is asked for.
 * @param skipped bytes of text that are not read, which end with a character; other than 0 only for UTF-8
 * @throws UserError with the place of the first byte that is not of the encoding, and the likely one
 */
export function* utf8Pieces(file: TextFile, skipped = 0): Generator<Buffer> {
  const descriptor = openInput(file.path);
  try {
    const start = readAt(descriptor, 0, Math.max(LONGEST_CHARACTER, SAMPLE_BYTES));
    const mark = byteOrderMark(start);
    if (looksLikeUtf32(start)) throw notDecodable(file, 'UTF-32');
    const encoding = mark?.encoding ?? file.encoding;
    const read: OpenText = { descriptor, file, encoding, start: (mark?.length ?? 0) + skipped };
    if (encoding !== DEFAULT_ENCODING) yield* transcoded(read);
    else {
      const utf16 = mark === null ? guessUtf16(start) : null;
      if (utf16 !== null) throw looksLike(file, utf16);
      yield* validated(read);
    }
  } finally {
    closeSync(descriptor);
  }
}

/** True for a file whose bytes are UTF-8, so that an offset in it is an offset in its text. */
export function isUtf8File({ path, encoding }: TextFile): boolean {
  const descriptor = openInput(path);
  try {
    const mark = byteOrderMark(readAt(descriptor, 0, LONGEST_CHARACTER));
    return (mark?.encoding ?? encoding) === DEFAULT_ENCODING;
  } finally {
    closeSync(descriptor);
  }
}

/** True where a line of a UTF-8 file begins at an offset in its text. */
export function isAfterLineFeed({ path }: TextFile, offset: number): boolean {
  const descriptor = openInput(path);
  try {
    const start = byteOrderMark(readAt(descriptor, 0, LONGEST_CHARACTER))?.length ?? 0;
    return readAt(descriptor, start + offset - 1, 1)[0] === LINE_FEED;
  } finally {
    closeSync(descriptor);
  }
}

interface OpenText {
  descriptor: number;
  file: TextFile;
  encoding: EncodingName;
  /** Where the text starts. */
  start: number;
}

function* validated(read: OpenText): Generator<Buffer> {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  for (let offset = read.start; ;) {
    const bytes = readAt(read.descriptor, offset, PIECE_BYTES, buffer);
    if (bytes.length === 0) return;
    const isLast = bytes.length < PIECE_BYTES;
    const piece = isLast ? bytes : bytes.subarray(0, bytes.length - cutCharacter(bytes));
    if (!isUtf8(piece)) throw wrongBytes(read, offset + firstWrongByte(piece));
    yield piece;
    offset += piece.length;
  }
}

function* transcoded(read: OpenText): Generator<Buffer> {
  const decoder = decoderOf(read.encoding);
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  // Half of a surrogate pair, which the next piece completes.
  let held = '';
  for (let offset = read.start; ;) {
    const bytes = readAt(read.descriptor, offset, PIECE_BYTES, buffer);
    let text: string;
    try {
      text = held + (bytes.length === 0 ? decoder.end() : decoder.decode(bytes));
    } catch {
      throw wrongBytes(read, findWrongByte(read, offset));
    }
    held = /[\ud800-\udbff]$/.exec(text)?.[0] ?? '';
    if (bytes.length === 0) held = '';
    const whole = text.slice(0, text.length - held.length);
    if (whole !== '') yield Buffer.from(whole, 'utf8');
    if (bytes.length === 0) return;
    offset += bytes.length;
  }
}

/** How many bytes at the end belong to a character that is incomplete. */
function cutCharacter(bytes: Buffer): number {
  for (let back = 1; back < LONGEST_CHARACTER; back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    return lengthByLead(byte) > back ? back : 0;
  }
  return 0;
}

function lengthByLead(byte: number): number {
  if (byte < 0x80) return 1;
  if (byte < 0xc0) return 0;
  return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf8 ? 4 : 0;
}

/** The first byte that begins no character of UTF-8. */
function firstWrongByte(bytes: Buffer): number {
  for (let at = 0; at < bytes.length;) {
    const length = lengthByLead(bytes[at] ?? 0);
    if (length === 0 || at + length > bytes.length || !isUtf8(bytes.subarray(at, at + length))) return at;
    at += length;
  }
  return bytes.length;
}

/** The byte at which a decoder gives up; the piece at `offset` holds it. A decoder's state cannot be copied, so it starts over. */
function findWrongByte({ descriptor, encoding, start }: OpenText, offset: number): number {
  const decoder: Decoder = decoderOf(encoding);
  for (let at = start; at < offset; at += PIECE_BYTES) decoder.decode(readAt(descriptor, at, PIECE_BYTES));
  const piece = readAt(descriptor, offset, PIECE_BYTES);
  for (let at = 0; at < piece.length; at++) {
    try {
      decoder.decode(piece.subarray(at, at + 1));
    } catch {
      return offset + at;
    }
  }
  return Math.max(start, offset + piece.length - 1);
}

function wrongBytes(read: OpenText, offset: number): UserError {
  const { descriptor, file, encoding } = read;
  const byte = readAt(descriptor, offset, 1)[0] ?? 0;
  const place = `byte 0x${byte.toString(16).toUpperCase().padStart(2, '0')} at offset ${count(offset)} (line ${count(lineAt(descriptor, offset))})`;
  const what = `${sanitize(basename(file.shown), 120)} is not ${encoding}: ${place} does not fit`;
  if (encoding !== DEFAULT_ENCODING) {
    return new UserError(`${what}. Name the encoding of the file with --encoding.`);
  }
  return new UserError(`${what}. ${advice(read, offset)}`);
}

function advice({ descriptor }: OpenText, offset: number): string {
  const from = Math.max(0, offset - 24);
  const sample = readAt(descriptor, offset, SAMPLE_BYTES);
  const surrogate = sample[0] === 0xed && (sample[1] ?? 0) >= 0xa0;
  if (surrogate) return 'It is half of a surrogate pair, which is not a character: fix or remove it.';
  if (isMostlyUtf8(descriptor, offset)) {
    return 'The rest of the file looks like UTF-8, so it is damaged at this place, or mixes encodings: fix it there.';
  }
  const likely = guessEncoding(sample);
  const excerpt = readAt(descriptor, from, offset - from + 24);
  return (
    `It is probably ${likely}: add --encoding ${likely} to read it` +
    `${shownAs(excerpt, likely)}, or save the file as UTF-8.`
  );
}

/** What the place would read as, so that a person sees whether the guess is right. */
function shownAs(excerpt: Buffer, encoding: EncodingName): string {
  // Its ends may cut a character, and those are only shown.
  const text =
    encoding === 'windows-1252'
      ? decoderOf(encoding).decode(excerpt)
      : new TextDecoder(encoding).decode(excerpt);
  return ` (“${sanitize(text, 60)}”)`;
}

/** True where characters of UTF-8 surround a wrong byte, at least three for each wrong one. */
function isMostlyUtf8(descriptor: number, offset: number): boolean {
  const from = Math.max(0, offset - SAMPLE_BYTES / 2);
  const text = readAt(descriptor, from, SAMPLE_BYTES).toString('utf8');
  const wrong = text.match(/\ufffd/g)?.length ?? 0;
  const right = text.match(/[^\u0000-\u007f\ufffd]/gu)?.length ?? 0;
  return right >= 3 * wrong;
}

function lineAt(descriptor: number, offset: number): number {
  let line = 1;
  for (let at = 0; at < offset; at += PIECE_BYTES) {
    const bytes = readAt(descriptor, at, Math.min(PIECE_BYTES, offset - at));
    for (let next = bytes.indexOf(0x0a); next !== -1; next = bytes.indexOf(0x0a, next + 1)) line += 1;
  }
  return line;
}

function looksLike(file: TextFile, encoding: EncodingName): UserError {
  return new UserError(
    `${sanitize(basename(file.shown), 120)} is not ${file.encoding}: it looks like ${encoding} without a byte order mark ` +
      `(every second byte is 0). Add --encoding ${encoding} to read it.`,
  );
}

function notDecodable(file: TextFile, encoding: string): UserError {
  return new UserError(
    `${sanitize(basename(file.shown), 120)} is ${encoding}, which cannot be read; save it as UTF-8.`,
  );
}
