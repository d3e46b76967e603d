/**
 * Encodings of text files: their names, and what turns their bytes into text. Names and tables are those of the WHATWG
 * Encoding Standard (https://encoding.spec.whatwg.org), which `TextDecoder` implements; Python's spellings are accepted.
 */

import { UsageError } from '../lib/errors.js';
import { sanitize } from '../lib/text.js';

/** A canonical name, such as `utf-8` or `windows-1252`. */
export type EncodingName = string;

export const DEFAULT_ENCODING: EncodingName = 'utf-8';

/** Names that Python and spreadsheets use and the standard lacks (https://docs.python.org/3/library/codecs.html). */
const ALIASES: Readonly<Record<string, string>> = {
  'latin-1': 'latin1',
  ansi: 'windows-1252',
  'utf-8-sig': 'utf-8',
  'utf8-sig': 'utf-8',
  utf16: 'utf-16',
  'utf16-le': 'utf-16le',
  utf16le: 'utf-16le',
  'utf-16-le': 'utf-16le',
  utf16be: 'utf-16be',
  'utf16-be': 'utf-16be',
  'utf-16-be': 'utf-16be',
  cp65001: 'utf-8',
  cp932: 'shift_jis',
  'shift-jisx0213': 'shift_jis',
  cp936: 'gbk',
  cp949: 'euc-kr',
  cp950: 'big5',
  eucjp: 'euc-jp',
  euckr: 'euc-kr',
  'mac-roman': 'macintosh',
  macroman: 'macintosh',
};

/**
 * The canonical name of an encoding that a user named.
 * @throws UsageError where no decoder of that name exists
 */
export function encodingNamed(label: string): EncodingName {
  const name = label.trim().toLowerCase();
  const dashed = name.replaceAll('_', '-');
  for (const candidate of [ALIASES[dashed] ?? name, dashed]) {
    try {
      return new TextDecoder(candidate).encoding;
    } catch {
      // The next spelling is tried.
    }
  }
  throw new UsageError(
    `--encoding ${sanitize(label, 40)} is not a known encoding. Examples: utf-8, utf-16, windows-1252, latin1, ` +
      'windows-1251, gb18030, big5, shift_jis, euc-jp, euc-kr.',
  );
}

/** Turns pieces of a file into text; a character may be cut between two pieces. */
export interface Decoder {
  /** @throws TypeError where the bytes are not text of this encoding */
  decode(bytes: Uint8Array): string;
  /** Text that the end of the file completes. @throws TypeError where the file ends inside a character */
  end(): string;
}

/** A decoder that refuses wrong bytes and leaves byte order marks alone. */
export function decoderOf(encoding: EncodingName): Decoder {
  if (encoding === 'windows-1252') return { decode: decodeWindows1252, end: () => '' };
  const decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
  return {
    decode: (bytes) => decoder.decode(bytes, { stream: true }),
    end: () => decoder.decode(),
  };
}

/** Characters 0x80 to 0x9F (https://encoding.spec.whatwg.org/index-windows-1252.txt). */
const WINDOWS_1252 =
  '\u20ac\u0081\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u008d\u017d\u008f' +
  '\u0090\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u009d\u017e\u0178';

/** Some versions of Node take windows-1252 for ISO-8859-1 (nodejs/node#56542), so this one is decoded here. */
function decodeWindows1252(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  return text.replace(/[\u0080-\u009f]/g, (character) => WINDOWS_1252[character.charCodeAt(0) - 0x80] ?? '');
}

/** The encoding that a byte order mark declares, and the mark's length in bytes. */
export interface ByteOrderMark {
  encoding: EncodingName;
  length: number;
}

/** Reads the mark at a file's start; null where there is none. It counts for more than any declaration. */
export function byteOrderMark(start: Uint8Array): ByteOrderMark | null {
  const [first, second, third] = start;
  if (first === 0xef && second === 0xbb && third === 0xbf) return { encoding: 'utf-8', length: 3 };
  if (first === 0xff && second === 0xfe) return { encoding: 'utf-16le', length: 2 };
  if (first === 0xfe && second === 0xff) return { encoding: 'utf-16be', length: 2 };
  return null;
}

/** True for a file that starts as UTF-32 does, which nothing here decodes. */
export function looksLikeUtf32(start: Uint8Array): boolean {
  const [a, b, c, d] = start;
  const zeros = [a, b, c, d].map((byte) => byte === 0).join();
  if (start.length < 8) return false;
  return (
    (a === 0xff && b === 0xfe && c === 0 && d === 0) ||
    (a === 0 && b === 0 && c === 0xfe && d === 0xff) ||
    (zeros === 'false,true,true,true' && start[4] !== 0 && start[5] === 0 && start[6] === 0)
  );
}
