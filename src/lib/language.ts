/** What script a text is written in, and a guess at its language: enough to see that an answer changed its own. */

/** The script is determined from this many characters. */
const LOOKED_AT = 600;
/** With fewer letters, the script is unknown. */
const FEWEST_LETTERS = 20;
/** The share of letters that makes a script the text's own. */
const MAJORITY = 0.5;
const WORDS_LOOKED_AT = 100;
const FEWEST_HITS = 5;

const SCRIPTS: readonly [name: string, letters: RegExp][] = [
  ['Latin', /\p{Script=Latin}/gu],
  ['Cyrillic', /\p{Script=Cyrillic}/gu],
  ['Greek', /\p{Script=Greek}/gu],
  ['Arabic', /\p{Script=Arabic}/gu],
  ['Hebrew', /\p{Script=Hebrew}/gu],
  ['Devanagari', /\p{Script=Devanagari}/gu],
  ['Thai', /\p{Script=Thai}/gu],
  ['Hangul', /\p{Script=Hangul}/gu],
  // Japanese is written in Han as well, so that its own letters are looked for first.
  ['Japanese', /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ['Han', /\p{Script=Han}/gu],
];
const ASCII_ONLY = /^[\0-\x7f]*$/;
/** `FEWEST_LETTERS` letters, with anything between them. */
const ASCII_LETTERS = /(?:[A-Za-z][^A-Za-z]*){20}/;
/** Of a Japanese text at least this share of its letters is kana. */
const KANA_SHARE = 0.1;

/** Words that a text of some length hardly does without, and that the other languages do not have. */
const STOP_WORDS: Readonly<Record<string, ReadonlySet<string>>> = {
  English: new Set(['the', 'and', 'is', 'of', 'to', 'that', 'it', 'with', 'for', 'are', 'this', 'you']),
  German: new Set(['der', 'und', 'ist', 'nicht', 'das', 'mit', 'ein', 'eine', 'auf', 'für', 'sich', 'auch']),
  French: new Set(['les', 'est', 'et', 'une', 'dans', 'pour', 'qui', 'sur', 'avec', 'pas', 'vous', 'des']),
  Spanish: new Set(['el', 'los', 'las', 'es', 'una', 'para', 'con', 'por', 'como', 'más', 'y', 'pero']),
  Italian: new Set(['il', 'che', 'è', 'per', 'una', 'con', 'sono', 'della', 'gli', 'anche', 'di', 'nel']),
  Portuguese: new Set(['os', 'uma', 'não', 'para', 'com', 'que', 'em', 'você', 'são', 'mais', 'ao', 'pelo']),
  Dutch: new Set(['het', 'een', 'en', 'niet', 'van', 'zijn', 'met', 'voor', 'dat', 'ook', 'aan', 'maar']),
};

/** The script that most letters of a text belong to; null where there are too few, or none prevails. */
export function scriptOf(text: string): string | null {
  const start = text.slice(0, LOOKED_AT);
  if (ASCII_ONLY.test(start)) return ASCII_LETTERS.test(start) ? 'Latin' : null;
  const counts = new Map(SCRIPTS.map(([name, letters]) => [name, start.match(letters)?.length ?? 0]));
  const all = [...counts.values()].reduce((sum, letters) => sum + letters, 0);
  const kana = counts.get('Japanese') ?? 0;
  const han = counts.get('Han') ?? 0;
  if (kana > 0 && kana >= (kana + han) * KANA_SHARE) counts.set('Japanese', kana + han).set('Han', 0);
  // One character of these is a whole syllable or word.
  const fewest =
    (counts.get('Japanese') ?? 0) + (counts.get('Han') ?? 0) > 0 ? FEWEST_LETTERS / 4 : FEWEST_LETTERS;
  if (all < fewest) return null;
  const [most] = [...counts].sort((a, b) => b[1] - a[1]);
  return most !== undefined && most[1] >= all * MAJORITY ? most[0] : null;
}

/** A guess at the language of a text in Latin letters; null where it is not clear. */
export function languageOf(text: string): string | null {
  const words =
    text
      .slice(0, LOOKED_AT)
      .toLowerCase()
      .match(/\p{L}+/gu)
      ?.slice(0, WORDS_LOOKED_AT) ?? [];
  const hits = Object.entries(STOP_WORDS)
    .map(([language, stopWords]) => ({ language, hits: words.filter((word) => stopWords.has(word)).length }))
    .sort((a, b) => b.hits - a.hits);
  const [first, second] = hits;
  if (first === undefined || first.hits < FEWEST_HITS) return null;
  return first.hits >= 2 * (second?.hits ?? 0) ? first.language : null;
}
