/**
 * Characters that nobody sees, and that move, reorder or join what is around them. In a text of strangers they can make
 * a word read as another one, or carry what only a program reads. (Used by the program and by the page of a report.)
 *
 * The core is Unicode's own list, Default_Ignorable_Code_Point: soft hyphen, direction marks, overrides and isolates,
 * zero-width characters, Hangul fillers, variation selectors, tags. What is added: controls but for tab and line end,
 * line and paragraph separators, the blank Braille pattern and interlinear annotations.
 *
 * Three uses are left alone, each of them one character between two that are seen, so that emoji, Persian and Indic
 * languages stay readable: a joiner inside an emoji (woman + computer), a joiner between letters of a script that needs
 * it, and a variation selector right after an emoji. Each of these can still hide one bit.
 */

const HIDDEN_CLASS =
  '\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u2028\\u2029\\u2800\\ufff9-\\ufffb\\p{Default_Ignorable_Code_Point}';
/** Of scripts whose words need joiners (The Unicode Standard, chapters 9, 12, 13 and 16; UAX #31, section 2.3). */
const JOINING_LETTER = `[${[
  ...[
    'Arabic',
    'Syriac',
    'Nko',
    'Mongolian',
    'Devanagari',
    'Bengali',
    'Gurmukhi',
    'Gujarati',
    'Oriya',
    'Tamil',
  ],
  ...['Telugu', 'Kannada', 'Malayalam', 'Sinhala', 'Khmer', 'Myanmar', 'Tibetan'],
]
  .map((script) => `\\p{Script=${script}}`)
  .join('')}]`;
const EMOJI = '\\p{Extended_Pictographic}';

const LEFT_ALONE = [
  `(?<=${EMOJI}\\ufe0f?|\\p{Emoji_Modifier})\\u200d(?=${EMOJI})`,
  `(?<=${JOINING_LETTER})[\\u200c\\u200d](?=${JOINING_LETTER})`,
  `(?<=${EMOJI})[\\ufe0e\\ufe0f](?![\\ufe00-\\ufe0f])`,
  '(?<=[0-9#*])\\ufe0f(?=\\u20e3)',
].join('|');

/** Runs of one and the same hidden character. */
export const HIDDEN = new RegExp(`(?!${LEFT_ALONE})([${HIDDEN_CLASS}])(?:(?!${LEFT_ALONE})\\1)*`, 'gu');

/**
 * Each hidden character in a name, where a line end or a tab is one as well and no word needs a joiner; only the emoji's
 * own variation selector is left alone.
 */
export const HIDDEN_IN_NAMES = new RegExp(
  `(?!(?<=${EMOJI})[\\ufe0e\\ufe0f](?![\\ufe00-\\ufe0f]))[\\t\\n${HIDDEN_CLASS}]`,
  'gu',
);

/** How a hidden character, or a run of one, is shown: `U+202E`, `U+200B ×12`. */
export function markOf(run: string): string {
  const code = run.codePointAt(0) ?? 0;
  const times = run.length / (code > 0xffff ? 2 : 1);
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')}${times > 1 ? ` ×${times}` : ''}`;
}

/** The text with every hidden character shown as `[U+202E]`, for where there is nothing but text. */
export function withMarks(text: string): string {
  return text.replace(/\r\n/g, '\n').replace(HIDDEN, (run) => `[${markOf(run)}]`);
}
