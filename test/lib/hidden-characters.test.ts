import { describe, expect, it } from 'vitest';
import { hiddenRuns, withMarks } from '../../src/lib/hidden-characters.js';
import { sanitize, sanitizeLines } from '../../src/lib/text.js';
import { cpuTimeOf } from '../support/cpu-time.js';

/** First and last of ranges of invisible characters. */
const RANGES = [
  [0x00, 0x08],
  [0x0b, 0x1f],
  [0x7f, 0x9f],
  [0xad, 0xad],
  [0x34f, 0x34f],
  [0x61c, 0x61c],
  [0x115f, 0x1160],
  [0x17b4, 0x17b5],
  [0x180b, 0x180f],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x206f],
  [0x2800, 0x2800],
  [0x3164, 0x3164],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xffa0, 0xffa0],
  [0xfff9, 0xfffb],
  [0x1d173, 0x1d17a],
  [0xe0001, 0xe0001],
  [0xe0020, 0xe007f],
  [0xe0100, 0xe01ef],
] as const;

it.each(RANGES)('U+%i to U+%i are shown by their code points, and are not in a message', (first, last) => {
  for (let code = first; code <= last; code++) {
    const sign = String.fromCodePoint(code);
    const mark = code.toString(16).toUpperCase().padStart(4, '0');
    expect(withMarks(`a${sign}b${sign}${sign}`)).toBe(`a[U+${mark}]b[U+${mark} ×2]`);
    expect(sanitize(`a${sign}b`)).toBe('a b');
  }
});

describe('left alone', () => {
  it.each([
    ['an emoji of several', '👩‍💻 🏃🏽‍♀️ 👨‍👩‍👧‍👦 ❤️‍🔥 🏳️‍🌈'],
    ['an emoji with its presentation', '❤️ ⚠︎ 1️⃣ #️⃣'],
    ['Persian', 'می‌خواهم خانه‌ها'],
    ['Sinhala and Devanagari', 'ශ්‍රී क्‍ष'],
    ['tabs, lines and spaces', 'a\tb\nc d\u00a0e\u3000f'],
    ['other scripts', 'שלום 日本語 ภาษาไทย 한국어 ⠓⠑⠇⠇⠕'],
  ])('%s', (_, text) => {
    expect(withMarks(text)).toBe(text);
    expect(hiddenRuns(text)).toEqual([]);
  });

  it.each([
    ['a joiner between Latin letters', 'pay\u200dpal', 'pay[U+200D]pal'],
    ['a joiner at an end', '👩\u200d', '👩[U+200D]'],
    ['two joiners', 'ب\u200c\u200cب', 'ب[U+200C ×2]ب'],
    ['a selector after a letter', 'a\ufe0f', 'a[U+FE0F]'],
    ['data in selectors after an emoji', '😀\ufe0f\ufe01\u{e0101}', '😀[U+FE0F][U+FE01][U+E0101]'],
    ['a digit with a selector', '1\ufe0f2', '1[U+FE0F]2'],
    ['words in tags', '🏴\u{e0068}\u{e0069}', '🏴[U+E0068][U+E0069]'],
  ])('but not %s', (_, text, shown) => {
    expect(withMarks(text)).toBe(shown);
  });
});

it('hundreds of thousands of them take no time', () => {
  const texts = ['\u200b'.repeat(1 << 18), '👩\u200d'.repeat(1 << 17), '\u200b\u200c'.repeat(1 << 17)];
  expect(cpuTimeOf(() => texts.map((text) => withMarks(text)))).toBeLessThan(5000);
});

it('lines keep their spaces and ends, and nothing that a terminal obeys', () => {
  const text = 'Result:   s\u001b[31m/\u001b]0;title\u0007x\u202e\nReport:   👩‍💻 \ud800';
  expect(sanitizeLines(text)).toBe('Result:   s / x \nReport:   👩‍💻 \ufffd');
});
