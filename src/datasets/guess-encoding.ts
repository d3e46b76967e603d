/**
 * The likely encoding of bytes that are not UTF-8: good enough to suggest `--encoding`, never used to read a file
 * without asking. Detectors on npm (chardet 2, jschardet 3) take a short Chinese or Cyrillic cell for Latin-1.
 */

import type { EncodingName } from './encodings.js';

/** How the bytes above 0x7F of a sample are distributed. */
interface Profile {
  /** Those bytes two by two, the second of which may be ASCII: `lead << 8 | trail`. */
  pairs: number[];
  high: number[];
  /** Mean length of their runs: near 1 where accented letters are among ASCII letters. */
  run: number;
}

/** Tried in this order; the first that fits is taken. Ranges are those of the encodings' most frequent characters. */
const RULES: readonly { encoding: EncodingName; fits: (profile: Profile) => boolean }[] = [
  // Kana: 82 9F–F1 and 83 40–96.
  { encoding: 'shift_jis', fits: ({ pairs }) => share(pairs, isShiftJisKana) >= 0.25 },
  // Kana: A4 and A5.
  {
    encoding: 'euc-jp',
    fits: ({ pairs }) => share(pairs, leads(0xa4, 0xa5)) >= 0.25 && allTrailsHigh(pairs),
  },
  // Frequent characters: A4–C6, trails below 0x7F among them.
  {
    encoding: 'big5',
    fits: ({ pairs }) => share(pairs, leads(0xa1, 0xc6)) >= 0.8 && share(pairs, trails(0x40, 0x7e)) >= 0.15,
  },
  // Hangul: B0–C8. Chinese text goes further up.
  {
    encoding: 'euc-kr',
    fits: ({ pairs }) => pairs.length >= 4 && share(pairs, leads(0xb0, 0xc8)) >= 0.95 && allTrailsHigh(pairs),
  },
  // First level of GB 2312: B0–D7; punctuation: A1 and A3.
  {
    encoding: 'gb18030',
    fits: ({ pairs, run }) => run >= 2 && share(pairs, (pair) => isCommonChinese(pair)) >= 0.8,
  },
  {
    encoding: 'windows-1251',
    fits: ({ high, run }) => run >= 2.5 && share(high, between(0xe0, 0xff)) >= 0.6,
  },
  { encoding: 'koi8-r', fits: ({ high, run }) => run >= 2.5 && share(high, between(0xc0, 0xdf)) >= 0.6 },
  // Accents at 80–9F, where windows-1252 has little but quotes and dashes.
  { encoding: 'macintosh', fits: ({ high, run }) => run < 2 && share(high, isMacAccent) >= 0.6 },
];

/** @param sample some kilobytes from the first wrong byte on */
export function guessEncoding(sample: Uint8Array): EncodingName {
  const profile = profileOf(sample);
  return RULES.find(({ fits }) => fits(profile))?.encoding ?? 'windows-1252';
}

/** UTF-16 without a mark: zeros at every other byte are what ASCII characters look like. Null where it is not. */
export function guessUtf16(start: Uint8Array): EncodingName | null {
  const pairs = Math.min(start.length, 4096) >> 1;
  let even = 0;
  let odd = 0;
  for (let pair = 0; pair < pairs; pair++) {
    if (start[pair * 2] === 0) even += 1;
    if (start[pair * 2 + 1] === 0) odd += 1;
  }
  if (pairs < 2 || Math.max(even, odd) < pairs * 0.3 || Math.min(even, odd) > pairs * 0.1) return null;
  return odd > even ? 'utf-16le' : 'utf-16be';
}

function profileOf(sample: Uint8Array): Profile {
  const pairs: number[] = [];
  for (let at = 0; at + 1 < sample.length; at++) {
    const lead = sample[at] ?? 0;
    if (lead < 0x80) continue;
    pairs.push((lead << 8) | (sample[at + 1] ?? 0));
    at += 1;
  }
  const high = [...sample].filter((byte) => byte >= 0x80);
  const runs = [...sample].filter((byte, at) => byte >= 0x80 && (sample[at - 1] ?? 0) < 0x80).length;
  return { pairs, high, run: high.length / Math.max(1, runs) };
}

function share(values: readonly number[], fits: (value: number) => boolean): number {
  return values.filter(fits).length / Math.max(1, values.length);
}

function between(low: number, high: number): (byte: number) => boolean {
  return (byte) => byte >= low && byte <= high;
}

function leads(low: number, high: number): (pair: number) => boolean {
  return (pair) => between(low, high)(pair >> 8);
}

function trails(low: number, high: number): (pair: number) => boolean {
  return (pair) => between(low, high)(pair & 0xff);
}

function allTrailsHigh(pairs: readonly number[]): boolean {
  return share(pairs, trails(0xa1, 0xfe)) >= 0.95;
}

function isShiftJisKana(pair: number): boolean {
  return (pair >= 0x829f && pair <= 0x82f1) || (pair >= 0x8340 && pair <= 0x8396);
}

function isCommonChinese(pair: number): boolean {
  const lead = pair >> 8;
  return trails(0xa1, 0xfe)(pair) && (between(0xb0, 0xd7)(lead) || lead === 0xa1 || lead === 0xa3);
}

function isMacAccent(byte: number): boolean {
  return between(0x80, 0x9f)(byte) && ![0x80, 0x85, 0x91, 0x92, 0x93, 0x94, 0x96, 0x97, 0x99].includes(byte);
}
