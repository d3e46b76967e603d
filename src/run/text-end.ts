/** Where the text of an answer ends in a line of the journal, found without parsing it. */

import { wordsBehind, zeroByte } from '../lib/bytes.js';
import { endsClosingTag, isBesideClosingTag, mayBeginWithReasoning } from '../models/reasoning.js';

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const TAG_START = 0x3c;
const TAG_END = 0x3e;
const BACKSLASH = 0x5c;
const CLOSING_BRACE = 0x7d;

/** What a byte is inside a text's quotes. */
const ORDINARY = 0;
const FORBIDDEN = 1;
const ESCAPES = 2;
const ENDS = 3;
const KINDS = new Uint8Array(256);
KINDS.fill(FORBIDDEN, 0, SPACE);
KINDS[BACKSLASH] = ESCAPES;
KINDS[QUOTE] = ENDS;
/** The escapes that `JSON.stringify` writes for the usual characters: of quote, backslash, b, f, n, r and t. */
const USUAL_ESCAPES = new Uint8Array(256);
for (const letter of Buffer.from('"\\bfnrt')) USUAL_ESCAPES[letter] = 1;

/**
 * Where a text ends as JSON, closing quote included.
 * @param start where `LineScanner.findText` saw it begin
 * @param limit where its line ends, exclusive
 * @returns -1 where `JSON.stringify` would write the text otherwise, where it may hold reasoning, or where the line is
 *   damaged. That the bytes are UTF-8 is left to the caller, who can look at many texts at once.
 */
export function endOfText(bytes: Buffer, start: number, limit: number): number {
  let at = start + 1;
  if (mayBeginWithReasoning(bytes, at)) return -1;
  for (;;) {
    at = skipOrdinary(bytes, at, limit);
    if (at >= limit) return -1;
    const kind = KINDS[bytes[at] as number];
    if (kind === FORBIDDEN) return -1;
    if (kind === ENDS) {
      const next = bytes[at + 1];
      const isEnd = next === COMMA || next === CLOSING_BRACE;
      return isEnd && !(bytes[at - 1] === TAG_END && endsClosingTag(bytes, at)) ? at + 1 : -1;
    }
    // Where the template opened it, reasoning is known by its closing tag alone, which borders a line break.
    if ((bytes[at - 1] === TAG_END || bytes[at + 2] === TAG_START) && isBesideClosingTag(bytes, at))
      return -1;
    if (USUAL_ESCAPES[bytes[at + 1] ?? 0] !== 1) return -1;
    at += 2;
  }
}

/** The next byte that is not `ORDINARY`, or `limit`. Looking at four bytes together takes a third of the time. */
function skipOrdinary(bytes: Buffer, start: number, limit: number): number {
  const { byteOffset } = bytes;
  let at = start;
  for (; at < limit && ((byteOffset + at) & 3) !== 0; at++) {
    if (KINDS[bytes[at] as number] !== ORDINARY) return at;
  }
  const words = wordsBehind(bytes);
  const lastWord = (byteOffset + limit) >> 2;
  let index = (byteOffset + at) >> 2;
  for (; index < lastWord; index++) {
    const word = words[index] as number;
    const control = (word - 0x20202020) & ~word & 0x80808080;
    if ((zeroByte(word ^ 0x22222222) | zeroByte(word ^ 0x5c5c5c5c) | control) !== 0) break;
  }
  at = Math.max(at, (index << 2) - byteOffset);
  while (at < limit && KINDS[bytes[at] as number] === ORDINARY) at += 1;
  return at;
}
