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

/** Texts of such characters alone hide nothing: ASCII, Latin and the usual punctuation, but for the soft hyphen. */
const IS_PLAIN = /^[\t\n\x20-\x7e\xa1-\xac\xae-\u02ff\u2010-\u2027\u2030-\u205e]*$/;

const HIDDEN_CLASS =
  '\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u2028\\u2029\\u2800\\ufff9-\\ufffb\\p{Default_Ignorable_Code_Point}';
/** Of scripts whose words need joiners (The Unicode Standard, chapters 9, 12, 13 and 16; UAX #31, section 2.3). */
const JOINING_SCRIPTS = [
  ...['Arabic', 'Syriac', 'Nko', 'Mongolian', 'Devanagari', 'Bengali', 'Gurmukhi', 'Gujarati', 'Oriya'],
  ...['Tamil', 'Telugu', 'Kannada', 'Malayalam', 'Sinhala', 'Khmer', 'Myanmar', 'Tibetan'],
];
const EMOJI = '\\p{Extended_Pictographic}';

/** Compiled at first use: the classes of Unicode take longer than all the rest of a start, and most texts are plain. */
let hidden: RegExp | null = null;
let hiddenInNames: RegExp | null = null;

/** Runs of one and the same hidden character. */
function hiddenPattern(): RegExp {
  if (hidden !== null) return hidden;
  const letter = `[${JOINING_SCRIPTS.map((script) => `\\p{Script=${script}}`).join('')}]`;
  const leftAlone = [
    `(?<=${EMOJI}\\ufe0f?|\\p{Emoji_Modifier})\\u200d(?=${EMOJI})`,
    `(?<=${letter})[\\u200c\\u200d](?=${letter})`,
    `(?<=${EMOJI})[\\ufe0e\\ufe0f](?![\\ufe00-\\ufe0f])`,
    '(?<=[0-9#*])\\ufe0f(?=\\u20e3)',
  ].join('|');
  return (hidden = new RegExp(`(?!${leftAlone})([${HIDDEN_CLASS}])(?:(?!${leftAlone})\\1)*`, 'gu'));
}

/**
 * Each hidden character in a name, where a line end or a tab is one as well and no word needs a joiner; only the emoji's
 * own variation selector is left alone.
 */
function hiddenInNamesPattern(): RegExp {
  return (hiddenInNames ??= new RegExp(
    `(?!(?<=${EMOJI})[\\ufe0e\\ufe0f](?![\\ufe00-\\ufe0f]))[\\t\\n${HIDDEN_CLASS}]`,
    'gu',
  ));
}

/** The runs of one and the same hidden character in a text. */
export function hiddenRuns(text: string): RegExpExecArray[] {
  return IS_PLAIN.test(text) ? [] : [...text.matchAll(hiddenPattern())];
}

/** The text with each run of one hidden character replaced. */
export function replaceHidden(text: string, replacement: (run: string) => string): string {
  return IS_PLAIN.test(text) ? text : text.replace(hiddenPattern(), replacement);
}

/** The name with each hidden character, line end and tab replaced. */
export function replaceHiddenInName(name: string, replacement: string): string {
  const isPlain = IS_PLAIN.test(name) && !/[\t\n]/.test(name);
  return isPlain ? name : name.replace(hiddenInNamesPattern(), replacement);
}

/** How a hidden character, or a run of one, is shown: `U+202E`, `U+200B ×12`. */
export function markOf(run: string): string {
  const code = run.codePointAt(0) ?? 0;
  const times = run.length / (code > 0xffff ? 2 : 1);
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')}${times > 1 ? ` ×${times}` : ''}`;
}

/** The text with every hidden character shown as `[U+202E]`, for where there is nothing but text. */
export function withMarks(text: string): string {
  return replaceHidden(text.replace(/\r\n/g, '\n'), (run) => `[${markOf(run)}]`);
}
